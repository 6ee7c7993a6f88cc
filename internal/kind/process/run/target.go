package run

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// target is what the runner remembers of one: every revision that was prepared
// and not yet retired. Which one has the traffic only the router says.
type target struct {
	Target    towpath.Target                  `json:"target"`
	Revisions map[towpath.RevisionID]revision `json:"revisions"`
	// waited is how long the operation that loaded it has waited for requests to finish.
	waited time.Duration
}

// revision is what is needed to run it again.
type revision struct {
	Spec      process.Spec        `json:"spec"` // defaults filled in
	Files     string              `json:"files"`
	Operation towpath.OperationID `json:"operation"`          // that prepared it first
	Rendered  json.RawMessage     `json:"rendered,omitempty"` // what Spec was read from
	// Deployment and Release are those that it was prepared for last. What has traffic
	// has that of others, perhaps, which the router knows.
	Deployment towpath.DeploymentID `json:"deployment,omitempty"`
	Release    towpath.Digest       `json:"release,omitempty"`
	// Name is the one under which its instances were started; empty: its own. A
	// repair starts them under another, see twinOf.
	Name towpath.RevisionID `json:"name,omitempty"`
	// Before is the traffic of the target when a repair began to run it: what is
	// gone back to when it fails with the traffic.
	Before *route.Traffic `json:"before,omitempty"`
	// Failed is why a repair failed that left it with the traffic, because nothing
	// was there to go back to.
	Failed string `json:"failed,omitempty"`
	// Only is how many of its instances are to run; nil: as many as its spec says.
	Only *int `json:"only,omitempty"`
	// Kept is until when it runs on without traffic; nil: it is not kept.
	Kept *kept `json:"kept,omitempty"`
}

// kept is how long a revision that was replaced runs on.
type kept struct {
	Until  time.Time          `json:"until"`
	Beside towpath.RevisionID `json:"beside"` // that replaced it
}

// instances is how many of a revision's are to run.
func (v revision) instances() int {
	if v.Only != nil {
		return min(*v.Only, v.Spec.Instances)
	}
	return v.Spec.Instances
}

// instance is the ID of one of a revision's processes. It is derived, so that
// whoever prepares the revision again finds the same one.
func instanceID(t towpath.Target, rev towpath.RevisionID, index int) string {
	return towpath.HashID[string]("ins", t.Key(), string(rev), strconv.Itoa(index))
}

// instances lists the IDs of a revision's processes that are to run.
func (t *target) instances(rev towpath.RevisionID) []string {
	return t.first(rev, t.Revisions[rev].instances())
}

// every lists the IDs of a revision's processes, those included that are not to
// run for now.
func (t *target) every(rev towpath.RevisionID) []string {
	return t.first(rev, t.Revisions[rev].Spec.Instances)
}

func (t *target) first(rev towpath.RevisionID, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = t.instance(rev, i)
	}
	return ids
}

// instance is the ID of one of a revision's processes, as they were started.
func (t *target) instance(rev towpath.RevisionID, index int) string {
	return instanceID(t.Target, orElse(t.Revisions[rev].Name, rev), index)
}

func (r *Runner) targetPath(t towpath.Target) string {
	return filepath.Join(r.cfg.Dir, "targets", towpath.HashID[string]("tgt", t.Key())+".json")
}

// loadTarget reads a target's record; an unknown target has no revisions.
func (r *Runner) loadTarget(t towpath.Target) (*target, error) {
	rec := &target{Target: t, Revisions: map[towpath.RevisionID]revision{}}
	_, err := readJSON(r.targetPath(t), rec)
	return rec, err
}

func (r *Runner) saveTarget(t *target) error { return writeJSON(r.targetPath(t.Target), t) }

func (r *Runner) forgetTarget(t towpath.Target) error {
	if err := os.Remove(r.targetPath(t)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return towpath.E(towpath.KindUnavailable, "process.remove", "the target's record can't be removed").On(t.Key()).WithCause(err)
	}
	return nil
}

// allTargets reads every record. One that can't be read keeps nobody from the others:
// they are given beside its error.
func (r *Runner) allTargets() ([]*target, error) {
	dir := filepath.Join(r.cfg.Dir, "targets")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, "process.targets", "the targets can't be listed").On(dir).WithCause(err)
	}
	var all []*target
	var bad []error
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		rec := &target{}
		ok, err := readJSON(filepath.Join(dir, e.Name()), rec)
		bad = append(bad, err)
		if ok {
			all = append(all, rec)
		}
	}
	return all, errors.Join(bad...)
}

// readJSON reads a file; a missing one is no error and leaves v alone.
func readJSON(path string, v any) (found bool, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return false, towpath.E(towpath.KindInternal, "process.read", "a record of the process runner can't be read").On(path).WithCause(err)
	}
	return true, nil
}

// writeJSON replaces a file: after it returns the content survives a crash of
// the machine.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", " ")
	if err == nil {
		err = replaceFile(path, append(b, '\n'))
	}
	if err != nil {
		return towpath.E(towpath.KindUnavailable, "process.write", "a record of the process runner can't be written").On(path).WithCause(err).
			WithHint("check the disk's free space and the folder's permissions")
	}
	return nil
}

func replaceFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already when it was renamed
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
