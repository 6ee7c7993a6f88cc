// Package cosigntest gives tests the real cosign: built once from its module,
// kept in the user's cache folder under its version, and run without a network.
package cosigntest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/towpathtest/gotool"
)

// Version is the cosign that tests are held against.
const Version = "v3.1.3"

// Cosign is a cosign with a home folder of its own.
type Cosign struct {
	t        testing.TB
	bin      string
	Dir      string // where it runs
	Password string // of the keys
}

// New finds or builds cosign. Building takes about four minutes of processor
// time and needs the module proxy; what was built is kept.
func New(t testing.TB) *Cosign {
	t.Helper()
	bin := gotool.Find(t, "cosign", "github.com/sigstore/cosign/v3/cmd/cosign", Version)
	return &Cosign{t: t, bin: bin, Dir: t.TempDir(), Password: "sesame"}
}

// Program is the path of cosign itself, for programs that run it.
func (c *Cosign) Program() string { return c.bin }

// Run runs cosign in its folder. Its network leads nowhere.
func (c *Cosign) Run(args ...string) (string, error) {
	c.t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(c.t.Context()), c.bin, args...)
	cmd.Dir = c.Dir
	cmd.Env = []string{
		"HOME=" + c.Dir, "PATH=" + os.Getenv("PATH"), "COSIGN_PASSWORD=" + c.Password,
		"HTTP_PROXY=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1",
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// Must runs cosign and fails the test when it fails.
func (c *Cosign) Must(args ...string) string {
	c.t.Helper()
	out, err := c.Run(args...)
	if err != nil {
		c.t.Fatalf("cosign %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Write puts a file into cosign's folder.
func (c *Cosign) Write(name string, content []byte) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.Dir, name), content, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// Read is the content of a file in cosign's folder.
func (c *Cosign) Read(name string) []byte {
	c.t.Helper()
	b, err := os.ReadFile(filepath.Join(c.Dir, name))
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}
