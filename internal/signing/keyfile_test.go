package signing_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

func password(p string) signing.Password { return func() ([]byte, error) { return []byte(p), nil } }

func TestKey_Encrypt(t *testing.T) {
	k := newKey(t)
	file, err := k.Encrypt([]byte("open sesame"))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("comes back with the password", func(t *testing.T) {
		again, err := signing.Decrypt(file, password("open sesame"))
		if err != nil || again.ID() != k.ID() || !again.Public().Equal(k.Public()) {
			t.Fatalf("%v, %v", again, err)
		}
	})
	t.Run("comes back from cosign's type of block before 2.0", func(t *testing.T) {
		before := bytes.ReplaceAll(file, []byte("ENCRYPTED SIGSTORE"), []byte("ENCRYPTED COSIGN"))
		if again, err := signing.Decrypt(before, password("open sesame")); err != nil || again.ID() != k.ID() {
			t.Fatalf("%v, %v", again, err)
		}
	})
	t.Run("refuses no password", func(t *testing.T) {
		if _, err := k.Encrypt(nil); towpath.KindOf(err) != towpath.KindInvalid {
			t.Fatal(err)
		}
	})
	public, err := signing.EncodePublic(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		file []byte
		kind towpath.Kind
		says string
	}{
		"a wrong password":     {file, towpath.KindInvalid, "the password is wrong"},
		"a damaged file":       {bytes.Replace(file, []byte("\n"), []byte("\nA"), 1), towpath.KindInvalid, ""},
		"a public key":         {public, towpath.KindInvalid, "no encrypted private key"},
		"two keys":             {append(bytes.Clone(file), file...), towpath.KindInvalid, "not one block"},
		"a file of no key":     {[]byte("hello"), towpath.KindInvalid, "not one block"},
		"a file without limit": {make([]byte, 65<<10), towpath.KindExhausted, "larger than"},
		"headers":              {bytes.Replace(file, []byte("\n"), []byte("\nProc-Type: 4\n\n"), 1), towpath.KindInvalid, "not one block"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			_, err := signing.Decrypt(tt.file, password("guess"))
			if towpath.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
				t.Fatal(err)
			}
			if strings.Contains(err.Error(), "guess") {
				t.Fatal("the password")
			}
		})
	}
	t.Run("does not go on without an answer", func(t *testing.T) {
		none := errors.New("nobody is there")
		if _, err := signing.Decrypt(file, func() ([]byte, error) { return nil, none }); !errors.Is(err, none) {
			t.Fatal(err)
		}
	})
}

func TestKey_ShowsNoSecret(t *testing.T) {
	k := newKey(t)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("signed", "key", k)
	for _, out := range []string{
		fmt.Sprint(k), fmt.Sprintf("%v", k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", k), fmt.Sprintf("%s", k), fmt.Sprintf("%x", k),
		fmt.Sprintf("%d", k), fmt.Sprintf("%v", struct{ K *signing.Key }{k}), log.String(),
	} {
		// The log's line has a time and a message besides.
		if !strings.Contains(out, string(k.ID())) || len(out) > len(k.String())+80 {
			t.Errorf("%q is not the key's ID alone", out)
		}
	}
}

func TestWriteNew(t *testing.T) {
	k, dir := newKey(t), t.TempDir()
	private, public := filepath.Join(dir, "cosign.key"), filepath.Join(dir, "cosign.pub")
	if err := signing.WriteNew(k, []byte("secret"), private, public); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(private); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if again, err := signing.Load(private, password("secret")); err != nil || again.ID() != k.ID() {
		t.Fatalf("%v, %v", again, err)
	}
	b, err := signing.ReadKeyFile(public)
	if err != nil {
		t.Fatal(err)
	}
	if read, err := signing.ParsePublic(b); err != nil || !read.Equal(k.Public()) {
		t.Fatal(err)
	}
	t.Run("replaces neither file", func(t *testing.T) {
		for _, have := range []string{private, public} {
			fresh := t.TempDir()
			keep := filepath.Join(fresh, filepath.Base(have))
			if err := os.WriteFile(keep, []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
			err := signing.WriteNew(k, []byte("secret"), filepath.Join(fresh, "cosign.key"), filepath.Join(fresh, "cosign.pub"))
			left, _ := os.ReadDir(fresh)
			if got, _ := os.ReadFile(keep); towpath.KindOf(err) != towpath.KindConflict || string(got) != "mine" || len(left) != 1 {
				t.Fatalf("%v, %q, %v", err, got, left)
			}
		}
	})
	t.Run("says that there is no key", func(t *testing.T) {
		if _, err := signing.Load(filepath.Join(dir, "none"), password("")); towpath.KindOf(err) != towpath.KindNotFound {
			t.Fatal(err)
		}
	})
}

func FuzzDecrypt(f *testing.F) {
	k := newKey(f)
	file, err := k.Encrypt([]byte("x"))
	if err != nil {
		f.Fatal(err)
	}
	public, err := signing.EncodePublic(k.Public())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add(public)
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := signing.Decrypt(b, password("x")); err == nil && got.ID() == "" {
			t.Fatal("a key without an ID")
		}
		if got, err := signing.ParsePublic(b); err == nil {
			if _, err := signing.IDOf(got); err != nil {
				t.Fatal(err)
			}
		}
	})
}
