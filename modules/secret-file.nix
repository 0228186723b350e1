# The type of a path to a secret. Everybody on the host can read the store, so a secret must not be there.
{ lib }:
lib.mkOptionType {
  name = "secretFile";
  description = "the absolute path of a file outside of the Nix store, in quotes, since everybody can read the store";
  descriptionClass = "conjunction";
  check =
    value:
    lib.isString value
    && lib.hasPrefix "/" value
    && !lib.hasPrefix "${builtins.storeDir}/" value
    && !builtins.hasContext value;
  merge = lib.mergeEqualOption;
}
