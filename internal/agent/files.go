package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// files holds extracted layers, each in a folder named after its digest with
// the files under root/, a description of them and a marker. A folder is put in
// place whole, after its bytes are on disk: what is there is complete. It is
// never written to again: where it was changed by somebody else, another copy
// is put beside it, named after the digest and what it is for.
type files struct {
	dir     string
	client  Client
	extract func(context.Context, io.Reader, *os.Root) error
	watch   *watch

	mu    sync.Mutex
	turns map[towpath.Digest]chan struct{} // one extraction of a layer at a time
}

// marker says what a folder holds.
type marker struct {
	Layer towpath.Digest `json:"layer"`
	Size  int64          `json:"size"` // bytes of the layer
	// Described: what it holds stands in the manifest beside the marker; false in
	// those of versions that wrote none, or did not say so.
	Described bool `json:"described,omitempty"`
}

const markerFile = "layer.json"

func openFiles(dir string, client Client, extract func(context.Context, io.Reader, *os.Root) error, now func() time.Time) (*files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, towpath.E(towpath.KindUnavailable, "agent.files", "the folder for files can't be made").On(dir).WithCause(err)
	}
	f := &files{dir: dir, client: client, extract: extract, watch: newWatch(now), turns: map[towpath.Digest]chan struct{}{}}
	left, err := filepath.Glob(filepath.Join(dir, ".tmp-*"))
	for _, p := range left {
		err = errors.Join(err, removeTree(p)) // of an extraction that a crash cut off
	}
	if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, "agent.files", "unfinished files can't be removed").On(dir).WithCause(err)
	}
	return f, nil
}

// fetch gives the folder of a layer's files, which it gets from the server when
// there is none that is as it was put in place: what is asked for is started, or
// decides what is.
func (f *files) fetch(ctx context.Context, layer towpath.Digest, size int64, say func(string)) (string, error) {
	return f.inTurn(ctx, layer, func() (string, error) {
		copies := f.copies(layer)
		for _, dest := range copies {
			root := filepath.Join(dest, "root")
			if f.watch.intact(root) {
				return root, nil
			}
		}
		dest, err := f.free(layer.Hex())
		if err != nil {
			return "", err
		}
		return f.put(ctx, layer, size, dest, say)
	})
}

// free is a folder for a layer's files that nothing is in, of a name or numbered after
// it: what is in another one may be running, whatever became of it.
func (f *files) free(name string) (string, error) {
	dest := filepath.Join(f.dir, name)
	for n := 1; ; n++ {
		_, err := os.Lstat(dest)
		if errors.Is(err, fs.ErrNotExist) {
			return dest, nil
		}
		if err != nil {
			return "", towpath.E(towpath.KindUnavailable, "agent.files", "a folder for files can't be looked for").On(dest).WithCause(err)
		}
		dest = filepath.Join(f.dir, name+copyMark+strconv.Itoa(n))
	}
}

// fresh puts the files of a layer in place once more, for one purpose. What was put
// there for it before a crash is taken if nobody changed it since, and left alone if
// somebody did: instances may run from it.
func (f *files) fresh(ctx context.Context, layer towpath.Digest, size int64, purpose string, say func(string)) (string, error) {
	return f.inTurn(ctx, layer, func() (string, error) {
		name := layer.Hex() + copyMark + purpose
		for _, dest := range f.copies(layer) {
			base, root := filepath.Base(dest), filepath.Join(dest, "root")
			if (base == name || strings.HasPrefix(base, name+copyMark)) && f.watch.intact(root) {
				return root, nil
			}
		}
		dest, err := f.free(name)
		if err != nil {
			return "", err
		}
		return f.put(ctx, layer, size, dest, say)
	})
}

// copyMark stands between a layer and what a further copy of it is for.
const copyMark = "."

// copies lists the complete folders of a layer, the newest first.
func (f *files) copies(layer towpath.Digest) []string {
	type folder struct {
		path string
		at   time.Time
	}
	var all []folder
	for _, pattern := range []string{layer.Hex(), layer.Hex() + copyMark + "*"} {
		found, err := filepath.Glob(filepath.Join(f.dir, pattern))
		if err != nil {
			continue // the pattern is good
		}
		for _, p := range found {
			if fi, err := os.Stat(filepath.Join(p, markerFile)); err == nil && f.holds(p, layer) {
				all = append(all, folder{p, fi.ModTime()})
			}
		}
	}
	slices.SortFunc(all, func(a, b folder) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(b.path, a.path)) })
	out := make([]string, len(all))
	for i := range all {
		out[i] = all[i].path
	}
	return out
}

// inTurn has one at a time look for a layer's files or put them in place.
func (f *files) inTurn(ctx context.Context, layer towpath.Digest, do func() (string, error)) (string, error) {
	if !layer.Valid() {
		return "", towpath.E(towpath.KindInvalid, "agent.files", "the layer %q is not a digest", layer)
	}
	turn := f.turn(layer)
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	return do()
}

func (f *files) put(ctx context.Context, layer towpath.Digest, size int64, dest string, say func(string)) (string, error) {
	say("fetching the files of the revision")
	if err := f.get(ctx, layer, size, dest); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		var known *towpath.Error
		if errors.As(err, &known) {
			return "", err
		}
		return "", towpath.E(towpath.KindUnavailable, "agent.files", "the files of a layer can't be put in place").On(string(layer)).WithCause(err).
			WithHint("check the disk's free space; the agent tries again")
	}
	return filepath.Join(dest, "root"), nil
}

func (f *files) turn(layer towpath.Digest) chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, ok := f.turns[layer]
	if !ok {
		t = make(chan struct{}, 1)
		f.turns[layer] = t
	}
	return t
}

func (f *files) holds(dest string, layer towpath.Digest) bool {
	m, err := readMarker(dest)
	return err == nil && m.Layer == layer
}

func readMarker(dir string) (m marker, err error) {
	b, err := os.ReadFile(filepath.Join(dir, markerFile))
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(b, &m)
}

// get extracts the layer beside its place, where nothing is, and moves it there, once
// the digest of all its bytes has been checked and they are on disk.
func (f *files) get(ctx context.Context, layer towpath.Digest, size int64, dest string) (err error) {
	tmp, err := os.MkdirTemp(f.dir, ".tmp-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeTree(tmp))
		}
	}()
	if err := os.Mkdir(filepath.Join(tmp, "root"), 0o755); err != nil {
		return err
	}
	n, err := f.unpack(ctx, layer, size, filepath.Join(tmp, "root"))
	if err != nil {
		return err
	}
	b, err := json.Marshal(marker{Layer: layer, Size: n, Described: true})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, markerFile), b, 0o444); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := seal(filepath.Join(tmp, "root")); err != nil {
		return err
	}
	if err := writeManifest(ctx, tmp); err != nil {
		return err
	}
	if err := syncAll(tmp); err != nil {
		return err
	}
	failpoint.Hit("agent.before-files")
	if err := os.Rename(tmp, dest); err != nil {
		return err
	}
	return syncDir(f.dir)
}

func (f *files) unpack(ctx context.Context, layer towpath.Digest, size int64, dir string) (int64, error) {
	body, err := f.client.Blob(ctx, layer)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	count := &counter{r: body}
	if size > 0 {
		count.max = size
	}
	if err := f.extract(ctx, count, root); err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, count) // to the end, where the digest is checked
	return count.n, err
}

// counter counts bytes and refuses more than were promised.
type counter struct {
	r      io.Reader
	n, max int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.max > 0 && c.n > c.max {
		return 0, towpath.E(towpath.KindExhausted, "agent.files", "the layer is larger than the %d bytes that the release says", c.max)
	}
	return n, err
}

// seal takes away every right to write.
func seal(dir string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		return os.Chmod(p, fi.Mode().Perm()&^0o222)
	})
}

// syncAll puts everything of the file system on disk: one call instead of one
// for each of thousands of files.
func syncAll(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

// removeTree removes sealed folders too.
func removeTree(dir string) error {
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(p, 0o700) // before its entries are read
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// collect removes the layers that nothing uses, and of those that are used the
// copies that nothing runs from, but the newest. Without knowing what runs
// (nil) it removes nothing.
func (f *files) collect(used map[towpath.Digest]bool, held map[string]bool) error {
	if held == nil {
		return nil
	}
	entries, err := os.ReadDir(f.dir)
	for _, e := range entries {
		name, _, _ := strings.Cut(e.Name(), copyMark)
		layer, dir := towpath.Digest("sha256:"+name), filepath.Join(f.dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), ".tmp-"), held[filepath.Join(dir, "root")]:
			continue
		case used[layer]:
			if copies := f.copies(layer); len(copies) == 0 || copies[0] == dir {
				continue
			}
		}
		err = errors.Join(err, removeTree(dir))
	}
	f.watch.forget()
	return err
}

func (a *Agent) collectFiles() {
	if err := a.files.collect(a.journal.layers(), a.folders()); err != nil {
		a.log.Warn("unused files not removed", "error", err)
	}
}

// folders are those that something runs from; nil when that can't be told.
func (a *Agent) folders() map[string]bool {
	out := map[string]bool{}
	for _, r := range a.runners {
		repairer, ok := r.(kind.Repairer)
		if !ok {
			continue
		}
		list, err := repairer.Folders()
		if err != nil {
			a.log.Warn("what runs from which files is not known", "error", err)
			return nil
		}
		for _, dir := range list {
			out[dir] = true
		}
	}
	return out
}
