{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.services.operation-dbus.ml = {
    enable = lib.mkEnableOption "search in the ledger by meaning with a model; without one it uses a built-in embedding";

    executionProvider = mkOption {
      type = types.enum [
        "cpu"
        "cuda"
        "tensorrt"
        "directml"
        "coreml"
      ];
      default = "cpu";
      description = "What the model runs on.";
    };

    numThreads = mkOption {
      type = types.ints.between 1 1024;
      default = 4;
      description = "How many threads the model uses.";
    };

    model = mkOption {
      type = types.nullOr (types.path // { description = "path"; });
      default = null;
      description = "The model, an ONNX file with its tokenizer beside it.";
    };
  };
}
