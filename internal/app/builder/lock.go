package builder

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/build"
	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/pin"
	"github.com/towpath/towpath/internal/resolve"
	"github.com/towpath/towpath/internal/towpath"
)

const lockOp = "lock"

// Lock brings the towpath.lock of a work tree up to date, or says what that
// would change.
func Lock(ctx context.Context, r cli.LockRequest, getenv func(string) string, now time.Time) (cli.Locked, error) {
	tree, err := openTree(ctx, r.Dir)
	if err != nil {
		return cli.Locked{}, err
	}
	defer tree.root.Close()
	spec, err := tree.project()
	if err != nil {
		return cli.Locked{}, err
	}
	found, err := tree.references(ctx, spec)
	if err != nil {
		return cli.Locked{}, err
	}
	old, have, err := tree.lock()
	if err != nil {
		return cli.Locked{}, err
	}
	var resolver pin.Resolver
	if !r.Check || r.All || len(r.Update) > 0 {
		if resolver, err = resolve.New(resolve.Config{DockerConfig: dockerConfig(getenv), Getenv: getenv}); err != nil {
			return cli.Locked{}, err
		}
	}
	free := pin.Judge(found, have, spec.Exceptions, now).Free()
	u, err := pin.Relock(ctx, have, found, pin.Selection{Names: r.Update, All: r.All, Free: free}, resolver)
	if err != nil {
		return cli.Locked{}, err
	}
	out := cli.Locked{File: pin.LockFile, Changes: lockChanges(u.Changes)}
	for _, l := range pin.Judge(found, u.Lock, spec.Exceptions, now).Refused {
		if l.Unknown != "" || isLocked(u.Lock, l) { // what is missing is a change
			out.Loose = append(out.Loose, cli.LooseReference{Place: l.Place(), Name: l.Reference.String(), Why: l.Why})
		}
	}
	text := u.Lock.Format()
	if bytes.Equal(text, old) || old == nil && len(u.Lock.Entries) == 0 {
		return out, nil
	}
	out.Untidy = len(out.Changes) == 0
	if r.Check || r.DryRun {
		return out, nil
	}
	out.Written = true
	return out, tree.write(pin.LockFile, text)
}

func isLocked(l *pin.Lock, x pin.Loose) bool {
	_, ok := l.Find(x.Reference.String())
	return ok
}

func lockChanges(changes []pin.Change) []cli.LockChange {
	out := []cli.LockChange{}
	for _, c := range changes {
		x := cli.LockChange{Name: c.Name, Action: cli.LockMove}
		switch {
		case c.Unused:
			x.Action = cli.LockRemove
		case c.To == nil:
			x.Action = cli.LockMissing
		case c.From == nil:
			x.Action = cli.LockAdd
		}
		if c.From != nil {
			x.From = c.From.What()
		}
		if c.To != nil {
			x.To = c.To.What()
		}
		out = append(out, x)
	}
	return out
}

// dockerConfig is where docker keeps credentials.
func dockerConfig(getenv func(string) string) string {
	dir := getenv("DOCKER_CONFIG")
	if dir == "" {
		dir = filepath.Join(getenv("HOME"), ".docker")
	}
	return filepath.Join(dir, "config.json")
}

// tree is the work tree of a repository. Nothing outside of it is read, and no
// link is followed.
type tree struct {
	repo *git.Repository
	root *os.Root
	dir  string
}

func openTree(ctx context.Context, dir string) (*tree, error) {
	repo, err := git.Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	if repo.WorkTree() == "" {
		return nil, towpath.E(towpath.KindInvalid, lockOp, "a bare repository has no files to lock").On(dir).WithHint("run it in a clone")
	}
	root, err := os.OpenRoot(repo.WorkTree())
	if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, lockOp, "the work tree can't be read").On(repo.WorkTree()).WithCause(err)
	}
	return &tree{repo: repo, root: root, dir: repo.WorkTree()}, nil
}

func (t *tree) project() (*towpath.ProjectSpec, error) {
	src, err := t.read(build.ProjectFile, pin.MaxFile)
	if err == nil && src == nil {
		err = towpath.E(towpath.KindNotFound, lockOp, "there is no %s", build.ProjectFile).On(t.dir).WithHint("towpath init writes one to start from")
	}
	if err != nil {
		return nil, err
	}
	return Parse(src)
}

// lock is the lock file as it stands; none is nil.
func (t *tree) lock() (src []byte, l *pin.Lock, err error) {
	if src, err = t.read(pin.LockFile, pin.MaxFile); err != nil || src == nil {
		return nil, nil, err
	}
	l, err = pin.ParseLock(src)
	return src, l, err
}

// references are what a build would find, if everything were committed.
func (t *tree) references(ctx context.Context, spec *towpath.ProjectSpec) ([]pin.Found, error) {
	files, err := t.repo.Files(ctx)
	if err != nil {
		return nil, err
	}
	var scanner pin.Scanner
	for _, name := range files {
		if !pin.Wanted(name) || !exported(spec, name) {
			continue
		}
		src, err := t.read(name, pin.Limit(name))
		switch {
		case towpath.KindOf(err) == towpath.KindExhausted:
			scanner.Add(name, nil)
		case err != nil:
			return nil, err
		case src != nil:
			scanner.Add(name, src)
		}
	}
	return append(pin.Declared(build.ProjectFile, spec.Components), scanner.Found()...), nil
}

// exported says that a component's build sees a file.
func exported(spec *towpath.ProjectSpec, name string) bool {
	for _, c := range spec.Components {
		for _, p := range append([]string{c.Path}, c.Inputs...) {
			if p = path.Clean(p); p == "." || p == name || strings.HasPrefix(name, p+"/") {
				return true
			}
		}
	}
	return false
}

// read is a file's content; nil when there is no such file.
func (t *tree) read(name string, limit int64) ([]byte, error) {
	wrong := func(err error) error {
		return towpath.E(towpath.KindUnavailable, lockOp, "the file %s can't be read", name).WithCause(err)
	}
	info, err := t.root.Lstat(filepath.FromSlash(name))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil, nil
	} else if err != nil {
		return nil, wrong(err)
	}
	f, err := t.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, wrong(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, wrong(err)
	}
	if int64(len(b)) > limit {
		return nil, towpath.E(towpath.KindExhausted, lockOp, "the file %s has more than %d bytes", name, limit)
	}
	return b, nil
}

// write puts a file in its place at once: it is the old one or the new one.
// What stands in its way, such as a link, is removed, and not written to.
func (t *tree) write(name string, content []byte) error {
	tmp := "." + name + ".new"
	_ = t.root.Remove(tmp) // when it stays there, the next step says so
	f, err := t.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		_, err = f.Write(content)
		err = errors.Join(err, f.Close())
	}
	if err == nil {
		err = t.root.Rename(tmp, name)
	}
	if err != nil {
		_ = t.root.Remove(tmp)
		return towpath.E(towpath.KindUnavailable, lockOp, "%s can't be written", name).On(t.dir).
			WithHint("check the space and the permissions of the folder").WithCause(err)
	}
	return nil
}
