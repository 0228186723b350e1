{
  byType = true;
  message = "is not of type";
  config.ledger.witness.origins = [
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
  ];
}
