package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// logged is what was logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

// pair is a self-signed certificate of this machine with a serial number, and its
// key, as PEM.
func pair(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, 0, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}, &x509.Certificate{IsCA: true}, private.Public(), private)
	must(t, 0, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, 0, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// TestCertificate: a certificate that is renewed is shown without a restart, and one
// that can't be used changes nothing.
func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write := func(path string, b []byte) {
		t.Helper()
		must(t, 0, os.WriteFile(path+".new", b, 0o600))
		must(t, 0, os.Rename(path+".new", path))
	}
	cert, key := pair(t, 1)
	write(certFile, cert)
	log := &logged{}
	cfg := Config{Data: folder(t), Listen: "127.0.0.1:0", Cert: certFile, Key: keyFile, Log: slog.New(slog.NewTextHandler(log, nil))}
	if _, err := New(t.Context(), cfg); towpath.KindOf(err) != towpath.KindInvalid {
		t.Fatalf("without a key: %v", err)
	}
	write(keyFile, key)
	h := startHarness(t, cfg, gittest.New(t))
	shown := func(known []byte) int64 {
		t.Helper()
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(known)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get(h.s.URL() + "/healthz")
		must(t, 0, err)
		must(t, 0, resp.Body.Close())
		if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 || resp.TLS.Version < tls.VersionTLS12 {
			t.Errorf("%s by %s", resp.Status, resp.Proto)
		}
		return resp.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if n := shown(cert); n != 1 {
		t.Errorf("%d is shown", n)
	}
	renewed, newKey := pair(t, 2)
	write(certFile, renewed) // its key comes later
	for range 3 {
		if n := shown(cert); n != 1 {
			t.Errorf("%d is shown without its key", n)
		}
	}
	if n := log.count("can't be used"); n != 1 {
		t.Errorf("that is said %d times", n)
	}
	write(keyFile, newKey)
	if n := shown(renewed); n != 2 {
		t.Errorf("%d is shown", n)
	}
	must(t, 0, os.Remove(certFile))
	if n := shown(renewed); n != 2 {
		t.Errorf("%d is shown when the file is gone", n)
	}
}
