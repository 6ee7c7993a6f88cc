package cli_test

import (
	"bytes"
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

// signedWrong are bundles that say nothing of a release by a key, and why.
func signedWrong(t *testing.T, key *signing.Key, release towpath.Digest) map[signing.Reason][]byte {
	t.Helper()
	another, err := signing.Generate()
	fatal(t, err)
	build := func(k *signing.Key, name string, about towpath.Digest, predicate string) (statement, bundle []byte) {
		statement, err := evidence.Make(name, about, predicate, struct{}{})
		fatal(t, err)
		bundle, err = signing.Sign(t.Context(), k, statement)
		fatal(t, err)
		return statement, bundle
	}
	good, signed := build(key, "good", release, evidence.TypeSignature)
	evil, _ := build(key, "evil", release, evidence.TypeSignature)
	_, elsewhere := build(key, "", towpath.DigestOf([]byte("another")), evidence.TypeSignature)
	_, provenance := build(key, "", release, evidence.TypeProvenance)
	_, theirs := build(another, "", release, evidence.TypeSignature)
	code := base64.StdEncoding.EncodeToString
	tampered := bytes.Replace(signed, []byte(code(good)), []byte(code(evil)), 1)
	if bytes.Equal(tampered, signed) {
		t.Fatalf("nothing was tampered with: %s", signed)
	}
	return map[signing.Reason][]byte{
		signing.ReasonSignature: tampered, signing.ReasonSubject: elsewhere, signing.ReasonPredicate: provenance, signing.ReasonUnknownKey: theirs,
	}
}

// TestReleaseVerify_whyNotSigned: what does not hold fails closed, with the exit
// code and the reason.
func TestReleaseVerify_whyNotSigned(t *testing.T) {
	v := newVerifiable(t)
	wrong := signedWrong(t, v.key, v.release)
	attach := func(all ...[]byte) {
		v.world.Do(func(w *apitest.World) {
			one := w.Evidence.Statements[0]
			w.Evidence.Statements = nil
			for _, b := range all {
				one.Bundle = towpath.DigestOf(b)
				v.blobs[string(one.Bundle)] = b
				w.Evidence.Statements = append(w.Evidence.Statements, one)
			}
		})
	}
	for reason, bundle := range wrong {
		t.Run(string(reason), func(t *testing.T) {
			attach(bundle)
			got := v.shell.run("release", "verify", "1.4.0", "--key", v.public)
			says := "Not signed: " + string(towpath.DigestOf(bundle)) + ": "
			if got.code != cli.ExitDenied || !strings.Contains(got.stdout, "None of the given keys signed it.") ||
				!strings.Contains(got.stdout, says) || !strings.Contains(got.stdout, "("+string(reason)+").") {
				t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
			}
		})
	}
	t.Run("those of others hide nothing", func(t *testing.T) {
		many := [][]byte{}
		for range 8 {
			many = append(many, signedWrong(t, v.key, v.release)[signing.ReasonUnknownKey])
		}
		attach(append(many, wrong[signing.ReasonSignature])...)
		got := v.shell.run("release", "verify", "1.4.0", "--key", v.public)
		if got.code != cli.ExitDenied || !strings.Contains(got.stdout, "(bad-signature)") || strings.Count(got.stdout, "(unknown-key)") != 4 ||
			!strings.Contains(got.stdout, "Not signed: 4 more bundles do not hold either.") {
			t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	})
	t.Run("nothing is attached", func(t *testing.T) {
		attach()
		got := v.shell.run("release", "verify", "1.4.0", "--key", v.public)
		if got.code != cli.ExitDenied || !strings.Contains(got.stdout, "Not signed: no signature is attached to it.") {
			t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	})
}

func TestReleaseImport_whyNotSigned(t *testing.T) {
	from := newSite(t)
	release, n := from.publish("one", "1.4.0")
	key, err := signing.Generate()
	fatal(t, err)
	wrong := signedWrong(t, key, release)
	for _, b := range wrong {
		a, err := oci.AttachBundle(oci.Blob{Digest: release, Size: n}, evidence.TypeSignature, b, noon())
		fatal(t, err)
		fatal(t, from.client.Attach(t.Context(), "shop", a))
	}
	tar := filepath.Join(t.TempDir(), "one.tar")
	from.ok("release", "export", "1.4.0", "--to", tar)
	got := from.shell.run("release", "import", tar, "--key", keyFile(t, "mine.pub", key))
	if got.code != cli.ExitDenied {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
	for reason, b := range wrong {
		if !strings.Contains(got.stderr, string(towpath.DigestOf(b))+": ") || !strings.Contains(got.stderr, "("+string(reason)+")") {
			t.Errorf("no word of %s: %s", reason, got.stderr)
		}
	}
}
