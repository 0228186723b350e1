{ lib, ... }:
let
  inherit (lib) mkOption types;
  schema = import ../schema.nix { inherit lib; };
  keys = schema.options "ChatModel";
in
{
  options.services.operation-dbus.chat.model = mkOption {
    type = types.nullOr (
      types.submodule {
        options = keys // {
          keyFile = keys.keyFile // {
            type = types.nullOr (import ../secret-file.nix { inherit lib; });
            example = "/run/secrets/model-key";
            description = "The file with the key that the server wants. It may be root's alone.";
          };
        };
      }
    );
    default = null;
    example = {
      url = "http://127.0.0.1:11434/v1";
      name = "qwen3:8b";
    };
    description = "A language model that the chat of the web server asks too. It needs none.";
  };
}
