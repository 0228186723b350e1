# Keys of WireGuard for tests alone: everybody knows them.
{
  client = {
    private = "oHOONovxALoPtGO/5lDwj+0Rpjryqo437gVIWMb7Ilk=";
    public = "FnSi+wvAbGDwjBdbaDa3Xmr3DiigNT2xgrIPT7Aj4H0=";
  };
  tunnel = {
    private = "WBJfcotOCF8MgCSZOWUzyUo1/4te3jw2tPAUhVaTWVY=";
    public = "GJ/1xPqaHis2FsakszYAaMe77iwQtpSZ9xjfMrjGmwY=";
  };
  cloud = {
    private = "COv3B7jQ6B8KVuwyCnIp6FUhV3fS5n9gNX7P5NRpXnM=";
    public = "r0u4F9qZkI25ceafmijGZ5FVNnFggnur9mkdDI+BP0I=";
  };
}
