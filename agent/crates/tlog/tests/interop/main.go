// Checks with golang.org/x/mod/sumdb what the crate wrote, and writes what the crate is to check.
//
//	interop verify DIR LOGKEY WITNESSKEY   DIR has checkpoint, proof, leaf, old, consistency and the tiles
//	interop make DIR                       writes note, key, root and proof of a tree of its own
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// witness verifies cosignatures (C2SP tlog-cosignature, version 1), which sumdb/note leaves to others.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
	time uint64
}

func (w *witness) Name() string    { return w.name }
func (w *witness) KeyHash() uint32 { return w.hash }
func (w *witness) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	w.time = binary.BigEndian.Uint64(sig)
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", w.time, msg)
	return ed25519.Verify(w.key, []byte(signed), sig[8:])
}

func newWitness(vkey string) *witness {
	parts := strings.SplitN(vkey, "+", 3)
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	must(err)
	key, err := base64.StdEncoding.DecodeString(parts[2])
	must(err)
	if len(key) != 33 || key[0] != 4 {
		must(errors.New("not a witness's key"))
	}
	return &witness{name: parts[0], hash: uint32(hash), key: key[1:]}
}

type head struct {
	size int64
	root tlog.Hash
}

// parseHead reads the text of a checkpoint.
func parseHead(text, origin string) head {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[0] != origin {
		must(fmt.Errorf("not a checkpoint of %s: %q", origin, text))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := tlog.ParseHash(lines[2])
	must(err)
	return head{size, root}
}

// open verifies a checkpoint by the log's key and, if there is one, the witness's.
func open(message []byte, logKey string, w *witness) head {
	log, err := note.NewVerifier(logKey)
	must(err)
	verifiers := []note.Verifier{log}
	if w != nil {
		verifiers = append(verifiers, w)
	}
	opened, err := note.Open(message, note.VerifierList(verifiers...))
	must(err)
	if len(opened.Sigs) != len(verifiers) {
		must(fmt.Errorf("%d signatures were verified instead of %d", len(opened.Sigs), len(verifiers)))
	}
	return parseHead(opened.Text, log.Name())
}

func hashes(lines []string) (out []tlog.Hash) {
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		must(err)
		out = append(out, hash)
	}
	return out
}

// tiles reads the tiles of C2SP tlog-tiles, whose paths leave out the height.
type tiles struct{ dir string }

func (tiles) Height() int                         { return 8 }
func (tiles) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (t tiles) ReadTiles(wanted []tlog.Tile) (out [][]byte, err error) {
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(t.dir, path))
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

func verify(dir, logKey, witnessKey string) {
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		must(err)
		return data
	}
	w := newWitness(witnessKey)
	newest := open(read("checkpoint"), logKey, w)
	old := open(read("old"), logKey, nil)

	consistency := hashes(strings.Fields(string(read("consistency"))))
	must(tlog.CheckTree(consistency, newest.size, newest.root, old.size, old.root))

	// A proof in one file: its header, `index N`, hashes, an empty line, the checkpoint.
	text := string(read("proof"))
	end := strings.Index(text, "\n\n")
	lines := strings.Split(text[:end], "\n")
	if lines[0] != "c2sp.org/tlog-proof@v1" {
		must(fmt.Errorf("not a proof: %q", lines[0]))
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	must(err)
	proved := open([]byte(text[end+2:]), logKey, w)
	leaf := tlog.RecordHash(read("leaf"))
	must(tlog.CheckRecord(hashes(lines[2:]), proved.size, proved.root, index, leaf))

	// The same from the tiles, whose hashes this reader checks against the root.
	reader := tlog.TileHashReader(tlog.Tree{N: newest.size, Hash: newest.root}, tiles{dir})
	path, err := tlog.ProveRecord(newest.size, index, reader)
	must(err)
	must(tlog.CheckRecord(path, newest.size, newest.root, index, leaf))
	fmt.Printf("verified %d of %d entries, cosigned at %d\n", index, newest.size, w.time)
}

func makeOwn(dir string) {
	write := func(name string, data []byte) { must(os.WriteFile(filepath.Join(dir, name), data, 0o644)) }
	secret, public, err := note.GenerateKey(rand.Reader, "example.net/go")
	must(err)
	signer, err := note.NewSigner(secret)
	must(err)
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, index := range indexes {
			out = append(out, stored[index])
		}
		return out, nil
	})
	const size, index = 777, 300
	for n := int64(0); n < size; n++ {
		grown, err := tlog.StoredHashes(n, []byte(strconv.FormatInt(n, 10)), reader)
		must(err)
		stored = append(stored, grown...)
	}
	root, err := tlog.TreeHash(size, reader)
	must(err)
	path, err := tlog.ProveRecord(size, index, reader)
	must(err)
	text := fmt.Sprintf("example.net/go\n%d\n%s\n", size, root)
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	must(err)
	var proof bytes.Buffer
	fmt.Fprintf(&proof, "c2sp.org/tlog-proof@v1\nindex %d\n", index)
	for _, hash := range path {
		fmt.Fprintln(&proof, hash)
	}
	proof.WriteString("\n")
	proof.Write(signed)
	write("proof", proof.Bytes())
	write("key", []byte(public))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	switch {
	case len(os.Args) == 5 && os.Args[1] == "verify":
		verify(os.Args[2], os.Args[3], os.Args[4])
	case len(os.Args) == 3 && os.Args[1] == "make":
		makeOwn(os.Args[2])
	default:
		must(errors.New("usage: interop verify DIR LOGKEY WITNESSKEY | make DIR"))
	}
}
