package signing_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/cosigntest"
)

// openssl is a folder with two keys of openssl and a program that signs with
// one.
func openssl(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"key.pem", "other.pem"} {
		out, err := exec.CommandContext(t.Context(), "openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", filepath.Join(dir, name)).CombinedOutput()
		if err != nil {
			t.Fatalf("openssl: %v\n%s", err, out)
		}
	}
	return dir
}

// program is one that holds a key: it answers what the cases say.
func program(t *testing.T, dir, publicKey, sign string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "signer")
	text := "#!/bin/sh\nset -e\ncd " + dir + "\ncase \"$1\" in\npublic-key)\n" + publicKey + "\n;;\nsign)\n" + sign + "\n;;\n*) exit 64 ;;\nesac\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return signing.ExecPrefix + path
}

const (
	hasKey = "openssl pkey -in key.pem -pubout"
	signs  = "openssl dgst -sha256 -sign key.pem | openssl base64"
)

func TestExec_openssl(t *testing.T) {
	dir := openssl(t)
	t.Setenv(signing.PasswordEnv, "a secret of another key")
	t.Setenv("TOWPATH_TOKEN", "a secret of ours")
	t.Setenv("KMS_LOGIN", "its own")
	k, err := signing.Open(t.Context(), program(t, dir, hasKey, `
env > env
cat > message
[ "$(openssl dgst -sha256 -r message | cut -d' ' -f1)" = "$TOWPATH_SIGNER_SHA256" ]
cat message | `+signs), nil)
	if err != nil {
		t.Fatal(err)
	}
	statement, err := evidence.MakeSignature(release)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := signing.Sign(t.Context(), k, statement)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := signing.EncodePublic(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	id, err := signing.IDOf(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("we verify what it signed", func(t *testing.T) {
		v := verifier(t, signing.TrustedKey{Name: "kms", PublicKey: string(pem), Types: []string{evidence.TypeSignature}})
		got, err := v.Verify(bundle, signing.Requirement{Type: evidence.TypeSignature, Subject: release, At: noon()})
		if err != nil || got.Key != id {
			t.Fatalf("%+v, %v", got, err)
		}
	})
	t.Run("the real cosign verifies what it signed", func(t *testing.T) {
		c := cosigntest.New(t)
		c.Write("kms.pub", pem)
		c.Write("bundle", bundle)
		verify := func(digest towpath.Digest) (string, error) {
			return c.Run("verify-blob-attestation", "--key", "kms.pub", "--bundle", "bundle", "--insecure-ignore-tlog=true",
				"--type", evidence.TypeSignature, "--digest", digest.Hex(), "--digestAlg", "sha256")
		}
		if out, err := verify(release); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if _, err := verify(towpath.DigestOf([]byte("another"))); err == nil {
			t.Error("it verifies anything")
		}
	})
	t.Run("it is told what it needs, and no secret that is not its own", func(t *testing.T) {
		b, err := os.ReadFile(filepath.Join(dir, "env"))
		if err != nil {
			t.Fatal(err)
		}
		env := string(b)
		for _, want := range []string{"TOWPATH_SIGNER=1\n", "TOWPATH_SIGNER_KEY=" + string(id), "KMS_LOGIN=its own"} {
			if !strings.Contains(env, want) {
				t.Errorf("it lacks %s", want)
			}
		}
		if strings.Contains(env, "a secret of") {
			t.Errorf("it has secrets:\n%s", env)
		}
	})
	t.Run("cosign can be the program", func(t *testing.T) {
		c := cosigntest.New(t)
		c.Must("generate-key-pair")
		k, err := signing.OpenExec(t.Context(), program(t, c.Dir, "cat cosign.pub",
			"COSIGN_PASSWORD="+c.Password+" "+c.Program()+" sign-blob --key cosign.key --new-bundle-format=false --use-signing-config=false --tlog-upload=false --yes -"), 0)
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := signing.Sign(t.Context(), k, statement)
		if err != nil {
			t.Fatal(err)
		}
		c.Write("bundle", bundle)
		c.Must("verify-blob-attestation", "--key", "cosign.pub", "--bundle", "bundle", "--insecure-ignore-tlog=true",
			"--type", evidence.TypeSignature, "--digest", release.Hex(), "--digestAlg", "sha256")
	})
	t.Run("words after its name are its arguments", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "by-name")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n[ \"$1 $2\" = 'release key' ] && openssl pkey -in "+dir+"/key.pem -pubout\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := signing.OpenExec(t.Context(), "exec:"+path+" release key", 0); err != nil {
			t.Error(err)
		}
	})
}

func TestOpenExec_refuses(t *testing.T) {
	dir := openssl(t)
	notExecutable := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(notExecutable, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		key  string
		kind towpath.Kind
		says string
	}{
		"no program":                  {"exec: ", towpath.KindInvalid, "names no program"},
		"a program that is not there": {"exec:/nowhere/signer", towpath.KindInvalid, "no such program"},
		"a file that is no program":   {"exec:" + notExecutable, towpath.KindInvalid, "no such program"},
		"a program that fails":        {program(t, dir, "echo debug >&2; echo no session with the token >&2; exit 3", signs), towpath.KindUnavailable, "exit status 3): no session with the token"},
		"no key":                      {program(t, dir, "true", signs), towpath.KindInvalid, "is none"},
		"a private key":               {program(t, dir, "cat key.pem", signs), towpath.KindInvalid, "is none"},
		"a key of another curve": {
			program(t, dir, "openssl ecparam -name secp384r1 -genkey -noout | openssl pkey -pubout", signs), towpath.KindInvalid, "P-256",
		},
		"endless output": {program(t, dir, "cat /dev/zero", signs), towpath.KindExhausted, "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := signing.OpenExec(t.Context(), tt.key, 0)
			message, hint := towpath.PublicMessage(err)
			if k != nil && err == nil || towpath.KindOf(err) != tt.kind || !strings.Contains(message, tt.says) || hint == "" {
				t.Errorf("%v, hint %q", err, hint)
			}
		})
	}
}

func TestExec_refuses(t *testing.T) {
	dir := openssl(t)
	for name, tt := range map[string]struct {
		sign string
		kind towpath.Kind
		says string
	}{
		"the signature of another key":     {"openssl dgst -sha256 -sign other.pem | openssl base64", towpath.KindUnavailable, "not a signature of its key"},
		"the signature of something else":  {"echo x | " + signs, towpath.KindUnavailable, "not a signature of its key"},
		"a signature of the digest's text": {"echo $TOWPATH_SIGNER_SHA256 | " + signs, towpath.KindUnavailable, "not a signature of its key"},
		"a signature that is not base64":   {"openssl dgst -sha256 -sign key.pem", towpath.KindUnavailable, "no signature"},
		"nothing":                          {"true", towpath.KindUnavailable, "no signature"},
		"a failure":                        {"echo the key is disabled >&2; exit 1", towpath.KindUnavailable, "the key is disabled"},
		"a failure after a signature":      {signs + "; exit 1", towpath.KindUnavailable, "exit status 1"},
		"endless output":                   {"yes", towpath.KindExhausted, "more than"},
		"endless complaints":               {"yes no >&2", towpath.KindUnavailable, "did not end within"},
		"hanging":                          {"sleep 1000", towpath.KindUnavailable, "did not end within"},
		"hanging with children":            {"sleep 1000 & sleep 1000", towpath.KindUnavailable, "did not end within"},
		"leaving somebody behind":          {signs + "; sleep 1000 &", towpath.KindUnavailable, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := signing.OpenExec(t.Context(), program(t, dir, hasKey, tt.sign), 3*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			statement, err := evidence.MakeSignature(release)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			bundle, err := signing.Sign(t.Context(), k, statement)
			message, hint := towpath.PublicMessage(err)
			if bundle != nil || towpath.KindOf(err) != tt.kind || !strings.Contains(message, tt.says) || hint == "" {
				t.Errorf("%v, hint %q", err, hint)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	t.Run("nobody is left behind", func(t *testing.T) {
		k, err := signing.OpenExec(t.Context(), program(t, dir, hasKey, "sleep 1000 & echo $! > child; wait"), 3*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Sign(t.Context(), nil); towpath.KindOf(err) != towpath.KindUnavailable {
			t.Error(err)
		}
		child, err := os.ReadFile(filepath.Join(dir, "child"))
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); lives(strings.TrimSpace(string(child))); {
			if time.Now().After(end) {
				t.Fatal("what it started goes on")
			}
		}
	})
	t.Run("a program that need not read its input", func(t *testing.T) {
		k, err := signing.OpenExec(t.Context(), program(t, dir, hasKey, "exit 5"), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Sign(t.Context(), make([]byte, 1<<20)); !strings.Contains(err.Error(), "exit status 5") {
			t.Error(err)
		}
	})
	t.Run("who waits may give up", func(t *testing.T) {
		k, err := signing.OpenExec(t.Context(), program(t, dir, hasKey, "sleep 1000"), 0)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		if _, err := k.Sign(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// lives reports whether a process runs; one that is dead and not yet buried does
// not.
func lives(pid string) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}
