package git

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// Repository is one git repository on this machine, with or without a work
// tree. It holds no process and no lock; it is safe for concurrent use.
type Repository struct {
	program  string
	gitDir   string // absolute; of a linked work tree, its own
	workTree string // absolute; empty for a bare repository
	shallow  bool
}

// oldest is the first version of git with everything that is used here.
var oldest = [2]int{2, 39}

// Open finds the repository that path is in: a work tree, any directory below
// it, or a bare repository. The context bounds the search only.
func Open(ctx context.Context, path string) (*Repository, error) {
	const op = "git.open"
	program, err := findProgram(ctx, op)
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, op, "%q is not a path", path).
			WithHint("give the path of a directory").WithCause(err)
	}
	if info, err := os.Stat(abs); err != nil || !info.IsDir() {
		return nil, towpath.E(towpath.KindNotFound, op, "there is no directory %q", path).
			WithHint("give the path of a git repository or of a directory inside one").WithCause(err)
	}
	find := func(question ...string) (string, error) {
		out, err := run(ctx, op, command(ctx, program, abs, input{}, append([]string{"rev-parse"}, question...)...), "rev-parse")
		return strings.TrimSuffix(string(out), "\n"), err
	}
	gitDir, err := find("--absolute-git-dir")
	if err != nil {
		if exitCode(err) < 0 {
			return nil, err
		}
		return nil, towpath.E(towpath.KindNotFound, op, "%q is not in a git repository", path).
			WithHint("run this inside the project's repository, or make one with `git init`").WithCause(err)
	}
	facts, err := find("--is-inside-work-tree", "--is-shallow-repository")
	if err != nil {
		return nil, err
	}
	inside, shallow, _ := strings.Cut(facts, "\n")
	r := &Repository{program: program, gitDir: gitDir, shallow: shallow == "true"}
	if inside == "true" {
		if r.workTree, err = find("--show-toplevel"); err != nil {
			return nil, err
		}
	}
	return r, nil
}

var versionPattern = regexp.MustCompile(`^git version (\d+)\.(\d+)`)

func findProgram(ctx context.Context, op string) (string, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return "", towpath.E(towpath.KindUnavailable, op, "git was not found on this machine").
			WithHint("install git %d.%d or newer and make sure that it is on PATH", oldest[0], oldest[1]).WithCause(err)
	}
	out, err := run(ctx, op, command(ctx, program, "", input{}, "version"), "version")
	if err != nil {
		return "", err
	}
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return "", towpath.E(towpath.KindUnavailable, op, "the program git on PATH does not say its version").
			WithHint("make sure that `git version` works and that it is git itself")
	}
	major, _ := strconv.Atoi(string(m[1]))
	minor, _ := strconv.Atoi(string(m[2]))
	if major < oldest[0] || major == oldest[0] && minor < oldest[1] {
		return "", towpath.E(towpath.KindUnavailable, op, "git %d.%d is too old", major, minor).
			WithHint("install git %d.%d or newer", oldest[0], oldest[1])
	}
	return program, nil
}

// WorkTree is the top directory of the work tree, empty when there is none.
func (r *Repository) WorkTree() string { return r.workTree }

// Dir is the repository's own directory.
func (r *Repository) Dir() string { return r.gitDir }

// Shallow reports whether history is cut off, as in the clones that CI makes.
// What depends on whole history refuses to answer then.
func (r *Repository) Shallow() bool { return r.shallow }

// git runs a subcommand in the repository and returns what it printed.
func (r *Repository) git(ctx context.Context, op string, in input, subcommand string, args ...string) ([]byte, error) {
	return run(ctx, op, r.command(ctx, in, subcommand, args...), subcommand)
}

func (r *Repository) command(ctx context.Context, in input, subcommand string, args ...string) *exec.Cmd {
	return command(ctx, r.program, r.gitDir, in, append([]string{"--git-dir=" + r.gitDir, subcommand}, args...)...)
}

// wholeHistory refuses to reason about history that is cut off: commits would
// seem unrelated, and their authors would be missed.
func (r *Repository) wholeHistory(op string) error {
	if !r.shallow {
		return nil
	}
	return towpath.E(towpath.KindInvalid, op, "the repository is a shallow clone: its history is cut off").
		WithHint("run `git fetch --unshallow --tags`; in CI, check out with full history (fetch-depth: 0)")
}
