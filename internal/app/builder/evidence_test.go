package builder_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/app/builder"
	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/fulciotest"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

func project(t *testing.T) *gittest.Repo {
	t.Helper()
	r := gittest.New(t)
	r.WriteFile("towpath.yaml", "version: 1\nproject: shop\ncomponents:\n  api: {kind: process, path: api, process: {command: [run]}}\nenvironments:\n  dev: {branch: main}\n")
	r.WriteFile("api/run", "#!/bin/sh\n")
	r.Commit("first")
	return r
}

func password(p string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(p), nil }
}

// contents are all blobs that were handed over, by digest.
func contents(t *testing.T, b cli.Built) map[towpath.Digest][]byte {
	t.Helper()
	all := map[towpath.Digest][]byte{}
	for _, x := range b.Blobs {
		r, err := x.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil || towpath.DigestOf(content) != x.Digest || int64(len(content)) != x.Size {
			t.Fatalf("%s: %d bytes, %v", x.Digest, len(content), err)
		}
		r.Close()
		if _, twice := all[x.Digest]; twice {
			t.Errorf("%s is handed over twice", x.Digest)
		}
		all[x.Digest] = content
	}
	return all
}

// attached is what a manifest attaches, and checks that it was handed over with
// all that it names, and is about the release.
func attached(t *testing.T, b cli.Built, blobs map[towpath.Digest][]byte, e cli.Evidence) []byte {
	t.Helper()
	var m v1.Manifest
	if err := json.Unmarshal(blobs[e.Manifest], &m); err != nil {
		t.Fatalf("%s: %v", e.Type, err)
	}
	if m.Subject == nil || towpath.Digest(m.Subject.Digest) != b.Digest || m.Subject.Size != int64(len(b.Manifest)) {
		t.Errorf("%s is about %+v", e.Type, m.Subject)
	}
	for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		if content, ok := blobs[towpath.Digest(d.Digest)]; !ok || int64(len(content)) != d.Size {
			t.Errorf("%s names %s, which was not handed over", e.Type, d.Digest)
		}
	}
	return blobs[towpath.Digest(m.Layers[0].Digest)]
}

func TestBuild_signs(t *testing.T) {
	dir := project(t).Dir
	k, err := signing.Generate()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cosign.key")
	if err := signing.WriteNew(k, []byte("sesame"), file, file+".pub"); err != nil {
		t.Fatal(err)
	}
	public, err := signing.EncodePublic(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	types := []string{evidence.TypeSignature, evidence.TypeProvenance, evidence.TypeSBOM}
	v, err := signing.NewVerifier(signing.Trust{Keys: []signing.TrustedKey{{Name: "builder", PublicKey: string(public), Types: types}}})
	if err != nil {
		t.Fatal(err)
	}
	unsigned, err := builder.Build(t.Context(), cli.BuildRequest{Dir: dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var sbom []byte
	t.Run("hands over the bill of materials without a key", func(t *testing.T) {
		if len(unsigned.Evidence) != 1 || unsigned.SignedBy != "" || unsigned.Evidence[0].Signed || unsigned.Evidence[0].Type != oci.MediaTypeSBOM {
			t.Fatalf("%+v", unsigned.Evidence)
		}
		sbom = attached(t, unsigned, contents(t, unsigned), unsigned.Evidence[0])
	})
	t.Run("signs the release, its provenance and its bill with a key", func(t *testing.T) {
		built, err := builder.Build(t.Context(), cli.BuildRequest{Dir: dir, Key: file, Password: password("sesame")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if built.Digest != unsigned.Digest || built.SignedBy != string(k.ID()) || built.Evidence[0] != unsigned.Evidence[0] {
			t.Fatalf("%+v", built)
		}
		blobs := contents(t, built)
		var got []string
		for _, e := range built.Evidence[1:] {
			verified, err := v.Verify(attached(t, built, blobs, e), signing.Requirement{Type: e.Type, Subject: built.Digest, At: time.Now()})
			if err != nil || !e.Signed {
				t.Fatalf("%s: %v", e.Type, err)
			}
			if e.Type == evidence.TypeSBOM && string(verified.Statement.Predicate) != string(sbom) {
				t.Errorf("the signed bill is not the bill: %s", verified.Statement.Predicate)
			}
			got = append(got, e.Type)
		}
		if !slices.Equal(got, types) {
			t.Errorf("signed %q", got)
		}
	})
	t.Run("builds nothing when the key can't be used", func(t *testing.T) {
		for _, r := range []cli.BuildRequest{
			{Dir: dir, Key: file, Password: password("wrong")}, {Dir: dir, Key: file}, {Dir: dir, Key: file + ".none", Password: password("sesame")},
		} {
			steps := 0
			built, err := builder.Build(t.Context(), r, func(cli.Step) { steps++ })
			if err == nil || steps > 0 || len(built.Blobs) > 0 {
				t.Errorf("%v, %d steps", err, steps)
			}
		}
	})
}

// TestBuild_CertificateOfMinutes: what a program's certificate signs has to reach the
// server before that ends, so the program is asked again when the build took longer.
func TestBuild_CertificateOfMinutes(t *testing.T) {
	now := time.Now()
	ended, good := fulciotest.New(t, now.Add(-time.Hour)), fulciotest.New(t, now.Add(-time.Minute))
	_, k := good.Hand(nil)
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		then  string // what the program prints when it is asked again
		says  string
		signs bool
	}{
		{"another one signs", fulciotest.PEM(good.Certify(k)), "", true},
		{"without another one nothing is signed", fulciotest.PEM(ended.Certify(k)), "before the release was built", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{
				"key.pem": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
				"now":     fulciotest.PEM(ended.Certify(k)), "then": tt.then,
				"signer": "#!/bin/sh\nset -eu\ncd " + dir + "\ncase \"$1\" in\npublic-key) cat now; cp then now ;;\nsign) openssl dgst -sha256 -sign key.pem | base64 ;;\nesac\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			b, err := builder.Build(t.Context(), cli.BuildRequest{Dir: project(t).Dir, Key: "exec:" + filepath.Join(dir, "signer")}, nil)
			if !tt.signs {
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%v does not say %q", err, tt.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if b.Close != nil {
				defer b.Close()
			}
			if !b.Until.After(now) || !strings.Contains(b.Certified, fulciotest.Subject) {
				t.Errorf("it is said to be certified as %q until %s", b.Certified, b.Until)
			}
			blobs := contents(t, b)
			for _, e := range b.Evidence {
				if !e.Signed {
					continue
				}
				if claim, err := signing.Read(attached(t, b, blobs, e)); err != nil || !claim.Until.After(now) {
					t.Errorf("%s: %+v, %v", e.Type, claim, err)
				}
			}
		})
	}
}
