// Package gittest builds real git repositories for tests and the demo: small,
// with dates and identities of its own, so that the same steps give the same
// object IDs on every machine. It owns repositories that it made; it must not
// know anything of Towpath but the name of a commit.
//
// Start reading at [New]. A failing step ends the test.
package gittest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// T is what a builder needs of a test: *testing.T and *rapid.T have it.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Person is the author and committer of commits.
type Person struct{ Name, Email string }

// People who write commits in tests.
var (
	Ana   = Person{"Ana", "ana@example.com"}
	Ben   = Person{"Ben", "ben@example.com"}
	Chloe = Person{"Chloe", "chloe@example.com"}
)

// Start is the time of the first commit; each later one is a minute after the
// one before.
var Start = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

// Repo is a repository, with a work tree unless it is bare. It is for one
// goroutine; several goroutines each take a [Repo.Clone].
type Repo struct {
	Dir   string
	t     T
	clock time.Time
}

// New makes an empty repository whose branch is main in a directory that the
// test removes.
func New(t interface {
	T
	TempDir() string
}) *Repo {
	t.Helper()
	return NewAt(t, t.TempDir())
}

// NewAt makes an empty repository whose branch is main in dir.
func NewAt(t T, dir string) *Repo {
	t.Helper()
	r := &Repo{Dir: dir, t: t, clock: Start}
	r.Git("init", "--quiet", "--initial-branch=main", ".")
	return r
}

// NewBareAt makes an empty bare repository in dir.
func NewBareAt(t T, dir string) *Repo {
	t.Helper()
	r := &Repo{Dir: dir, t: t, clock: Start}
	r.Git("init", "--quiet", "--bare", "--initial-branch=main", ".")
	return r
}

// Environment is the environment in which git runs for a person at a time: no
// configuration but the repository's own.
func Environment(by Person, at time.Time) []string {
	date := fmt.Sprintf("@%d +0000", at.Unix())
	return []string{
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_CONFIG_COUNT=3",
		"GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		"GIT_CONFIG_KEY_1=gc.auto", "GIT_CONFIG_VALUE_1=0",
		"GIT_CONFIG_KEY_2=protocol.file.allow", "GIT_CONFIG_VALUE_2=always",
		"GIT_AUTHOR_NAME=" + by.Name, "GIT_AUTHOR_EMAIL=" + by.Email, "GIT_AUTHOR_DATE=" + date,
		"GIT_COMMITTER_NAME=" + by.Name, "GIT_COMMITTER_EMAIL=" + by.Email, "GIT_COMMITTER_DATE=" + date,
	}
}

// Git runs git in the repository as Ana and returns what it printed, without
// the last newline.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	return r.GitAs(Ana, "", args...)
}

// GitAs runs git as a person with text on standard input.
func (r *Repo) GitAs(by Person, stdin string, args ...string) string {
	r.t.Helper()
	out, err := r.Try(by, stdin, args...)
	if err != nil {
		r.t.Fatalf("git %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// Try is GitAs for commands that may fail; the error has what git said.
func (r *Repo) Try(by Person, stdin string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = r.Dir
	cmd.Env = Environment(by, r.clock)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSuffix(stdout.String(), "\n"), nil
}

// Tip is the commit that a ref stands for.
func (r *Repo) Tip(ref string) towpath.CommitID {
	r.t.Helper()
	return towpath.CommitID(r.Git("rev-parse", "--verify", ref+"^{commit}"))
}

func (r *Repo) path(name string) string { return filepath.Join(r.Dir, filepath.FromSlash(name)) }
