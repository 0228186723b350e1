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
      description = "What the model runs on. The agent refuses what its build does not have.";
    };

    numThreads = mkOption {
      type = types.ints.between 1 1024;
      default = 4;
      description = "How many texts the model embeds side by side, each on a thread.";
    };

    model = mkOption {
      type = types.nullOr (types.path // { description = "path"; });
      default = null;
      example = "/var/lib/models/minilm";
      description = ''
        The directory with `model.onnx` and `tokenizer.json`: a sentence model with 384 dimensions, such as
        all-MiniLM-L6-v2. `scripts/model.sh DIRECTORY` gets one.
      '';
    };
  };
}
