package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
	"github.com/towpath/towpath/internal/towpathtest/fulciotest"
)

func TestTrustAdd_Identity(t *testing.T) {
	a := fulciotest.New(t, noon())
	w := storyWorld()
	w.Keys = nil
	sh := newShell(t, apitest.New(t, w))
	fatal(t, os.WriteFile(filepath.Join(sh.dir, "fulcio.pem"), []byte(a.PEM()), 0o600))
	whole := []string{"--issuer", fulciotest.Issuer, "--subject", fulciotest.Subject, "--authority", "fulcio.pem"}
	add := func(args ...string) run { return sh.run(append([]string{"trust", "add", "ci"}, args...)...) }

	if got := add(whole...); got.code != cli.ExitOK || len(w.Keys) != 1 || !strings.Contains(got.stdout, fulciotest.Subject+" ("+fulciotest.Issuer+")") {
		t.Fatalf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	want := signing.Identity{Issuer: fulciotest.Issuer, Subject: fulciotest.Subject, Authority: a.PEM()}
	if i, ok, err := signing.ReadIdentity([]byte(w.Keys[0].PublicKey)); err != nil || !ok || i != want {
		t.Errorf("%+v, %t, %v", i, ok, err)
	}
	if got := sh.run("trust", "list", "-o", "wide"); !strings.Contains(got.stdout, fulciotest.Subject+" ("+fulciotest.Issuer+")") {
		t.Errorf("the list does not say who it is: %s%s", got.stdout, got.stderr)
	}
	t.Run("as trust public printed it", func(t *testing.T) {
		fatal(t, os.WriteFile(filepath.Join(sh.dir, "ci.pem"), []byte(sh.run("trust", "public", "ci").stdout), 0o600))
		if got := add("--key", "ci.pem"); got.code != cli.ExitOK || len(w.Keys) != 2 || w.Keys[1].PublicKey != w.Keys[0].PublicKey {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	n := len(w.Keys)
	for name, args := range map[string][]string{
		"neither":        nil,
		"both":           append([]string{"--key", "fulcio.pem"}, whole...),
		"half":           whole[:4],
		"a key and half": {"--key", "fulcio.pem", "--subject", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := add(args...); !strings.Contains(got.stderr, "either --key names the file") {
				t.Errorf("exit %d: %s", got.code, got.stderr)
			}
		})
	}
	for name, args := range map[string][]string{
		"no such file":        {"--issuer", "x", "--subject", "y", "--authority", "nothing.pem"},
		"what is none":        {"--issuer", "x", "--subject", "y", "--authority", "none.pem"},
		"a certificate alone": {"--key", "fulcio.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			fatal(t, os.WriteFile(filepath.Join(sh.dir, "none.pem"), []byte("none"), 0o600))
			if got := add(args...); got.code != cli.ExitError || got.stderr == "" {
				t.Errorf("exit %d: %s", got.code, got.stderr)
			}
		})
	}
	if len(w.Keys) != n {
		t.Errorf("%d are trusted", len(w.Keys))
	}
}
