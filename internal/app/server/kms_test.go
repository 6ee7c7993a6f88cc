package server

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// TestServer_KeyOfAProgram: the key that says how promotions ended may be in
// hardware or with a service. While that is down promotions go on, and are
// attested when it is back.
func TestServer_KeyOfAProgram(t *testing.T) {
	dir := t.TempDir()
	key, program, down := filepath.Join(dir, "key.pem"), filepath.Join(dir, "signer"), filepath.Join(dir, "down")
	out, err := exec.CommandContext(t.Context(), "openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	must(t, 0, os.WriteFile(program, fmt.Appendf(nil, `#!/bin/sh
[ ! -e %[2]s ] || { echo the service is down >&2; exit 1; }
case "$1" in
public-key) openssl pkey -in %[1]s -pubout ;;
sign) openssl dgst -sha256 -sign %[1]s | openssl base64 ;;
esac
`, key, down), 0o700))
	cfg := Config{Data: folder(t), AttestationKey: signing.ExecPrefix + program}
	h := startHarness(t, cfg, gittest.New(t))
	h.introduce()
	must(t, 0, os.WriteFile(down, nil, 0o600))
	one := h.publish("1.0.0", "one")
	h.runs("staging", "1.0.0")
	early, err := h.svc.Audit.Events(t.Context(), h.ana, ledger.Filter{Project: shop, Action: "promotion.attested"})
	if err != nil || len(early) != 0 {
		t.Errorf("promotions are attested without a key: %+v, %v", early, err)
	}
	must(t, 0, os.Remove(down))
	h.until("both promotions are attested", func() bool { return len(h.events("promotion.attested")) == 2 })
	keys, err := h.svc.Trust.List(t.Context(), h.ana, shop, "")
	must(t, 0, err)
	got, err := h.svc.Trust.Evidence(t.Context(), h.ana, shop, string(one.Release), "dev")
	must(t, 0, err)
	if len(keys) != 1 || len(got.Statements) != 2 {
		t.Fatalf("%+v by %+v", got, keys)
	}
	for _, a := range got.Statements {
		if !a.Verified() {
			t.Errorf("%+v", a)
		}
	}
	if _, err := os.Stat(filepath.Join(cfg.Data, "attestation.key")); err == nil {
		t.Error("it has made a key of its own")
	}
	t.Run("without its key it does not start", func(t *testing.T) {
		must(t, 0, os.WriteFile(down, nil, 0o600))
		cfg := Config{Data: folder(t), AttestationKey: cfg.AttestationKey, Listen: "127.0.0.1:0"}
		if _, err := New(t.Context(), cfg); towpath.KindOf(err) != towpath.KindUnavailable {
			t.Errorf("got %v", err)
		}
	})
}
