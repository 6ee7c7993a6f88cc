package cli_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
	"github.com/towpath/towpath/internal/towpathtest/fulciotest"
)

// keyShell is a shell in whose folder is a key with the password sesame.
func keyShell(t *testing.T) (sh *shell, id string) {
	t.Helper()
	sh = newShell(t, nil)
	sh.env["COSIGN_PASSWORD"] = "sesame"
	got := sh.run("key", "generate", "-o", "name")
	if got.code != cli.ExitOK {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	return sh, strings.TrimSpace(got.stdout)
}

// anonymous replaces what is new in each run.
func (sh *shell) anonymous(text, id string, file string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, sh.dir, "DIR"), id, "ID")
	if b, err := os.ReadFile(filepath.Join(sh.dir, file)); err == nil {
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "-----") {
				text = strings.ReplaceAll(text, line, "BASE64")
			}
		}
	}
	return text
}

func TestKeyCommands(t *testing.T) {
	for _, format := range []string{"table", "wide", "json", "yaml", "name"} {
		t.Run("generate and public as "+format, func(t *testing.T) {
			sh, id := keyShell(t)
			made := sh.run("key", "generate", "--name", "other", "-o", format)
			other := strings.TrimSpace(sh.run("key", "public", "other.pub", "-o", "name").stdout)
			golden(t, filepath.Join("key_generate", format), sh.anonymous(made.stdout, other, "other.pub"))
			golden(t, filepath.Join("key_public", format), sh.anonymous(sh.run("key", "public", "-o", format).stdout, id, "cosign.pub"))
		})
	}
	t.Run("writes a private key that only its owner reads, and that opens with the password", func(t *testing.T) {
		sh, id := keyShell(t)
		file := filepath.Join(sh.dir, "cosign.key")
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", info, err)
		}
		key, err := signing.Load(file, func() ([]byte, error) { return []byte("sesame"), nil })
		if err != nil || string(key.ID()) != id {
			t.Fatalf("%v, %v", key, err)
		}
	})
	t.Run("replaces nothing", func(t *testing.T) {
		sh, id := keyShell(t)
		got := sh.run("key", "generate")
		if got.code != cli.ExitError || !strings.Contains(got.stderr, "never replaced") {
			t.Fatalf("exit %d: %s", got.code, got.stderr)
		}
		if still := sh.run("key", "public", "-o", "name"); strings.TrimSpace(still.stdout) != id {
			t.Fatalf("%s%s", still.stdout, still.stderr)
		}
	})
	t.Run("makes no key without a password", func(t *testing.T) {
		sh := newShell(t, nil)
		got := sh.run("key", "generate")
		if left, _ := os.ReadDir(sh.dir); got.code != cli.ExitError || !strings.Contains(got.stderr, "COSIGN_PASSWORD") || len(left) > 0 {
			t.Fatalf("exit %d: %s, %v", got.code, got.stderr, left)
		}
	})
	t.Run("prints the same public key of either file, of the named one or of TOWPATH_KEY", func(t *testing.T) {
		sh, _ := keyShell(t)
		want, err := os.ReadFile(filepath.Join(sh.dir, "cosign.pub"))
		if err != nil {
			t.Fatal(err)
		}
		sh.env["TOWPATH_KEY"] = filepath.Join(sh.dir, "cosign.pub")
		for _, args := range [][]string{{}, {"cosign.key"}, {"cosign.pub"}} {
			if got := sh.run(append([]string{"key", "public"}, args...)...); got.stdout != string(want) {
				t.Errorf("%q: %s%s", args, got.stdout, got.stderr)
			}
		}
	})
	t.Run("says that the password is wrong, and shows none", func(t *testing.T) {
		sh, _ := keyShell(t)
		for _, wrong := range []string{"mistyped", ""} {
			sh.env["COSIGN_PASSWORD"] = wrong
			got := sh.run("key", "public")
			if got.code != cli.ExitError || !strings.Contains(got.stderr, "the password is wrong") || strings.Contains(got.stderr, "mistyped") {
				t.Errorf("exit %d: %s", got.code, got.stderr)
			}
		}
	})
}

func TestKeyCommands_Terminal(t *testing.T) {
	for _, tt := range []struct {
		name         string
		first, again string
		code         int
		says         string
	}{
		{"takes a password that was typed twice", "sesame", "sesame", cli.ExitOK, "private:"},
		{"refuses passwords that differ", "sesame", "seesame", cli.ExitError, "the passwords differ"},
	} {
		t.Run(tt.name+", and shows none", func(t *testing.T) {
			term := openTerminal(t)
			var person sync.WaitGroup
			person.Go(func() {
				if term.awaits(t.Context(), "new password of the key: ") {
					term.typeLine(t, tt.first)
				}
				if term.awaits(t.Context(), "the same again: ") {
					term.typeLine(t, tt.again)
				}
			})
			code := cli.Main(t.Context(), []string{"-C", t.TempDir(), "key", "generate"}, term.tty, term.tty, term.tty, func(string) string { return "" }, cli.Apps{Now: noon})
			shown := term.screen()
			person.Wait()
			if code != tt.code || !strings.Contains(shown, tt.says) {
				t.Fatalf("exit %d: %s", code, shown)
			}
			if strings.Contains(shown, tt.first) || strings.Contains(shown, tt.again) {
				t.Errorf("a password was shown: %s", shown)
			}
		})
	}
	t.Run("says that the input ended", func(t *testing.T) {
		term, dir := openTerminal(t), t.TempDir()
		if _, err := term.ptmx.WriteString("\x04"); err != nil {
			t.Fatal(err)
		}
		code := cli.Main(t.Context(), []string{"-C", dir, "key", "generate"}, term.tty, term.tty, term.tty, func(string) string { return "" }, cli.Apps{Now: noon})
		left, err := os.ReadDir(dir)
		if shown := term.screen(); code != cli.ExitError || err != nil || len(left) > 0 || !strings.Contains(shown, "no password was typed") {
			t.Errorf("exit %d, %v, %v: %s", code, left, err, shown)
		}
	})
	t.Run("leaves no half of a password to the shell", func(t *testing.T) {
		term := openTerminal(t)
		if _, err := term.ptmx.WriteString("\x04hunter2"); err != nil { // an end of input first: nobody reads on
			t.Fatal(err)
		}
		cli.Main(t.Context(), []string{"-C", t.TempDir(), "key", "generate"}, term.tty, term.tty, term.tty, func(string) string { return "" }, cli.Apps{Now: noon})
		fd := int(term.tty.Fd())
		settings, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		settings.Lflag &^= unix.ICANON // as shells read
		if err := unix.IoctlSetTermios(fd, unix.TCSETS, settings); err != nil {
			t.Fatal(err)
		}
		if left, err := unix.IoctlGetInt(fd, unix.TIOCINQ); err != nil || left != 0 {
			t.Errorf("it would read %d bytes, %v", left, err)
		}
	})
	t.Run("says nothing of a server when the time is over: it asked none", func(t *testing.T) {
		term := openTerminal(t)
		code := cli.Main(t.Context(), []string{"-C", t.TempDir(), "key", "generate", "--timeout", "50ms"}, term.tty, term.tty, term.tty, func(string) string { return "" }, cli.Apps{Now: noon})
		term.typeLine(t, "") // ends the reader that was left behind
		if shown := term.screen(); code != cli.ExitTimeout || !strings.Contains(shown, "--timeout 50ms") || strings.Contains(shown, "server") {
			t.Errorf("exit %d: %s", code, shown)
		}
	})
	t.Run("shows what is typed again afterwards, also after an interruption", func(t *testing.T) {
		for _, interrupted := range []bool{false, true} {
			term := openTerminal(t)
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			var person sync.WaitGroup
			person.Go(func() {
				if !term.awaits(ctx, "new password of the key: ") {
					return
				}
				if interrupted {
					interrupt()
					return
				}
				term.typeLine(t, "sesame")
				if term.awaits(ctx, "the same again: ") {
					term.typeLine(t, "sesame")
				}
			})
			cli.Main(ctx, []string{"-C", t.TempDir(), "key", "generate"}, term.tty, term.tty, term.tty, func(string) string { return "" }, cli.Apps{Now: noon})
			settings, err := unix.IoctlGetTermios(int(term.tty.Fd()), unix.TCGETS)
			if err != nil || settings.Lflag&unix.ECHO == 0 {
				t.Errorf("interrupted %t: settings %+v, %v", interrupted, settings, err)
			}
			if interrupted {
				term.typeLine(t, "") // ends the reader that was left behind
			}
			term.screen()
			person.Wait()
		}
	})
}

func TestReleaseBuild_key(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		env  string
		want string // of the folder
	}{
		"no key":                 {},
		"the flag's key":         {args: []string{"--key", "own.key"}, env: "other.key", want: "own.key"},
		"the environment's key":  {env: "env.key", want: "env.key"},
		"a key of another place": {args: []string{"--key", "/elsewhere/cosign.key"}, want: "/elsewhere/cosign.key"},
	} {
		t.Run("signs with "+name, func(t *testing.T) {
			sh := newShell(t, apitest.New(t, apitest.NewWorld()))
			sh.env["TOWPATH_KEY"], sh.env["COSIGN_PASSWORD"] = tt.env, "sesame"
			var asked cli.BuildRequest
			var closed bool
			build := builder(&closed, nil)
			sh.apps.Build = func(ctx context.Context, r cli.BuildRequest, p cli.Progress) (cli.Built, error) {
				asked = r
				b, err := build(ctx, r, p)
				if r.Key != "" {
					b.SignedBy = "theKeysID="
				}
				return b, err
			}
			got := sh.run(append([]string{"release", "build"}, tt.args...)...)
			want := tt.want
			if want != "" && !filepath.IsAbs(want) {
				want = filepath.Join(sh.dir, want)
			}
			if got.code != cli.ExitOK || asked.Key != want || strings.Contains(got.stdout, "theKeysID=") != (want != "") {
				t.Fatalf("exit %d, key %q: %s%s", got.code, asked.Key, got.stdout, got.stderr)
			}
			if p, err := asked.Password(); err != nil || !bytes.Equal(p, []byte("sesame")) {
				t.Fatalf("%s, %v", p, err)
			}
		})
	}
	t.Run("says who builds from where, by flags before the environment", func(t *testing.T) {
		sh := newShell(t, apitest.New(t, apitest.NewWorld()))
		var asked cli.BuildRequest
		build := builder(new(bool), nil)
		sh.apps.Build = func(ctx context.Context, r cli.BuildRequest, p cli.Progress) (cli.Built, error) {
			asked = r
			return build(ctx, r, p)
		}
		for name, value := range map[string]string{"BUILDER_ID": "https://ci", "BUILD_ID": "7", "REPOSITORY": "https://git"} {
			sh.env["TOWPATH_"+name] = value
		}
		sh.run("release", "build")
		if asked.BuilderID != "https://ci" || asked.BuildID != "7" || asked.Repository != "https://git" {
			t.Errorf("of the environment: %+v", asked)
		}
		sh.run("release", "build", "--builder-id", "https://own", "--build-id", "8", "--repository", "https://fork")
		if asked.BuilderID != "https://own" || asked.BuildID != "8" || asked.Repository != "https://fork" {
			t.Errorf("of the flags: %+v", asked)
		}
	})
	t.Run("publishes nothing that can't be signed", func(t *testing.T) {
		w := apitest.NewWorld()
		sh, closed := newShell(t, apitest.New(t, w)), false
		sh.apps.Build = builder(&closed, towpath.E(towpath.KindInvalid, "signing.decrypt", "the password is wrong"))
		if got := sh.run("release", "build", "--key", "cosign.key"); got.code != cli.ExitError || w.Called("releases.Publish") != 0 || w.Called("releases.PutBlob") != 0 {
			t.Fatalf("exit %d: %s", got.code, got.stderr)
		}
	})
}

// TestKeyPublic_certificate: a key that has a certificate is trusted by whose that is,
// so its public key is of no use to anybody.
func TestKeyPublic_certificate(t *testing.T) {
	sh := newShell(t, nil)
	program := filepath.Join(sh.dir, "signer")
	fatal(t, os.WriteFile(program, []byte("#!/bin/sh\ncat <<'EOF'\n"+fulciotest.PEM(fulciotest.New(t, noon()).Signer().Leaf)+"EOF\n"), 0o700))
	if got := sh.run("key", "public", "exec:"+program); got.code != cli.ExitError || got.stdout != "" || !strings.Contains(got.stderr, "towpath trust add NAME --issuer") {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
}
