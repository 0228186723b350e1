{
  message = ''one of "@cache"'';
  byType = true;
  config.btrfs.subvolumes = [ "@cahce" ];
}
