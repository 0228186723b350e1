{ lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  json = pkgs.formats.json { };
in
{
  options.services.operation-dbus = {
    defaultState = mkOption {
      type = types.attrsOf json.type;
      default = {
        version = "1.0";
        plugins = { };
      };
      example.plugins.btrfs.subvolumes."@backups".compression = "zstd:9";
      description = ''
        A declaration as it is written in JSON, for what has no option. What the options say has precedence over it.
      '';
    };

    pluginDirectory = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = lib.literalExpression "./plugins";
      description = ''
        Mappings of your own (`NAME/plugin.toml` and `NAME/semantic-mapping.toml`) that the check of the declaration is
        to know beside those that come with the agent. On the host the agent reads those in `BASE/@plugins` alone,
        which `op-dbus plugin generate` makes there and `op-dbus plugin enable` permits.
      '';
    };

    declaration = mkOption {
      type = json.type;
      readOnly = true;
      defaultText = lib.literalMD "what follows";
      description = "The declaration that follows from all options.";
    };

    declarationFile = mkOption {
      type = types.package;
      readOnly = true;
      defaultText = lib.literalMD "what follows";
      description = ''
        The declaration as a file, which is built only if `op-dbus check` accepts it. It is also
        `/etc/op-dbus/state.json`.
      '';
    };
  };
}
