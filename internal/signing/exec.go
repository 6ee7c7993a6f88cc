package signing

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/towpath/towpath/internal/towpath"
)

// ExecPrefix begins the name of a key that a program holds: "exec:PROGRAM ARG…",
// in words between spaces.
const ExecPrefix = "exec:"

// ExecProtocol is the version of what is said to the program of an [Exec]; the
// variable TOWPATH_SIGNER has it. The program is run with one more argument:
//
//	public-key  prints the public key in PEM, or a certificate of it ([Certified])
//	sign        gets the message on standard input, and prints the base64 of its
//	            signature: ECDSA P-256 with SHA-256, ASN.1 DER
//
// When it signs, TOWPATH_SIGNER_SHA256 is the hexadecimal SHA-256 of the message
// and TOWPATH_SIGNER_KEY the ID of the key that it said to have. It exits with 0,
// or says on standard error why not.
const ExecProtocol = "1"

// Bounds of what a program may do.
const (
	execTime   = time.Minute
	execOutput = 64 << 10 // bytes of standard output
	execSaid   = 200      // bytes of standard error that are told on
)

// Exec is a key that a program holds: the client of a key management service or
// of a hardware module. What it signs is checked before it is used.
type Exec struct {
	args    []string
	timeout time.Duration
	public  *ecdsa.PublicKey
	leaf    *x509.Certificate // nil: it is trusted by its key
	id      KeyID
}

var _ Certified = (*Exec)(nil)

// OpenExec asks a program for the public key that it signs with. Name begins
// with [ExecPrefix]; timeout bounds each run, 0 is a minute.
func OpenExec(ctx context.Context, name string, timeout time.Duration) (*Exec, error) {
	const op = "signing.exec"
	e := &Exec{args: strings.Fields(strings.TrimPrefix(name, ExecPrefix)), timeout: timeout}
	if timeout <= 0 {
		e.timeout = execTime
	}
	if !strings.HasPrefix(name, ExecPrefix) || len(e.args) == 0 {
		return nil, towpath.E(towpath.KindInvalid, op, "%q names no program", shown(name)).
			WithHint("it reads exec:/usr/local/bin/signer, with arguments after spaces")
	}
	out, err := e.run(ctx, "public-key", nil)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(out); block != nil && block.Type == pemCertificate {
		var by who
		if by, err = readLeaf(block.Bytes); err == nil {
			e.leaf, e.public, e.id = by.leaf, by.public, by.claim.Key
			return e, nil
		}
	} else if e.public, err = ParsePublic(out); err == nil {
		e.id, err = IDOf(e.public)
		return e, err
	}
	why, _ := towpath.PublicMessage(err)
	return nil, towpath.E(towpath.KindInvalid, op, "what the program prints as its public key is none: %s", why).On(e.args[0]).WithCause(err).
		WithHint("run it with the argument public-key: it has to print a PEM of ECDSA P-256, and nothing else")
}

// Certificate implements [Certified].
func (e *Exec) Certificate() *x509.Certificate { return e.leaf }

// Public implements [Signer].
func (e *Exec) Public() *ecdsa.PublicKey { return e.public }

// Sign implements [Signer].
func (e *Exec) Sign(ctx context.Context, message []byte) ([]byte, error) {
	const op = "signing.exec"
	sum := sha256.Sum256(message)
	out, err := e.run(ctx, "sign", message, "TOWPATH_SIGNER_SHA256="+hex.EncodeToString(sum[:]), "TOWPATH_SIGNER_KEY="+string(e.id))
	if err != nil {
		return nil, err
	}
	signature, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(out)), ""))
	if err != nil || len(signature) == 0 {
		return nil, towpath.E(towpath.KindUnavailable, op, "the program printed no signature").On(e.args[0]).
			WithHint("it has to print the base64 of a signature in ASN.1 DER, and nothing else").WithCause(err)
	}
	if !ecdsa.VerifyASN1(e.public, sum[:], signature) {
		return nil, towpath.E(towpath.KindUnavailable, op, "what the program printed is not a signature of its key %s", e.id).On(e.args[0]).
			WithHint("it has to sign what comes on standard input, with SHA-256, as ASN.1 DER; if its key was replaced, start again")
	}
	return signature, nil
}

// run runs the program once and returns what it printed.
func (e *Exec) run(ctx context.Context, what string, input []byte, env ...string) ([]byte, error) {
	const op = "signing.exec"
	limited, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	cmd := exec.CommandContext(limited, e.args[0], append(e.args[1:len(e.args):len(e.args)], what)...)
	cmd.Env = append(environment(), append(env, "TOWPATH_SIGNER="+ExecProtocol)...)
	cmd.Stdin = bytes.NewReader(input)
	out, said := &bounded{left: execOutput, full: cancel}, &tail{}
	cmd.Stdout, cmd.Stderr = out, said
	// What it started ends with it, and can't keep us waiting.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		_ = cmd.Cancel() // what it left behind
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case out.over:
		return nil, towpath.E(towpath.KindExhausted, op, "the program prints more than %d bytes", execOutput).On(e.args[0]).
			WithHint("it has to print what it is asked for and nothing else")
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		return nil, towpath.E(towpath.KindUnavailable, op, "the program did not end within %s", e.timeout).On(e.args[0]).
			WithHint("run it with the argument %s: does it wait for somebody, or for the network?", what).WithCause(err)
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
		return nil, towpath.E(towpath.KindInvalid, op, "there is no such program that can be run").On(e.args[0]).WithCause(err).
			WithHint("exec: names a program in PATH or by its path, which may be executed")
	case err != nil:
		return nil, towpath.E(towpath.KindUnavailable, op, "the program that holds the key failed (%s)%s", err, said).On(e.args[0]).WithCause(err).
			WithHint("run it with the argument %s, as the user that runs towpath", what)
	}
	return out.kept.Bytes(), nil
}

// environment is ours, with the logins that a program needs, less the password
// of a key that is none of its business.
func environment() []string {
	var out []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, PasswordEnv+"=") && !strings.HasPrefix(v, "TOWPATH_") {
			out = append(out, v)
		}
	}
	return out
}

// bounded keeps a number of bytes; the program is ended when there are more.
type bounded struct {
	kept bytes.Buffer // not embedded: io.Copy would go round the bound
	left int
	over bool
	full func()
}

// Write implements [io.Writer].
func (b *bounded) Write(p []byte) (int, error) {
	if len(p) > b.left {
		b.over = true
		b.full()
		return 0, io.ErrShortWrite
	}
	b.left -= len(p)
	return b.kept.Write(p)
}

// tail keeps the end of what a program says.
type tail struct{ b []byte }

// Write implements [io.Writer].
func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - 4*execSaid; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

// String is the last line, short and of letters that can be shown.
func (t *tail) String() string {
	text := strings.TrimSpace(string(t.b))
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, text[strings.LastIndexByte(text, '\n')+1:])
	if text == "" {
		return ""
	}
	return ": " + text[:min(len(text), execSaid)]
}
