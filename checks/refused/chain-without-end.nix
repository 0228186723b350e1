{
  message = "privacyRouter.vps.address is missing";
  config = {
    nixos.networking.nftables.enable = true;
    privacyRouter = {
      enable = true;
      xray.settingsFile = "/run/secrets/xray.json";
    };
  };
}
