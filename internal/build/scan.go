package build

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/secretscan"
	"github.com/towpath/towpath/internal/towpath"
)

// review is what the scan of one part of a release came to. It has places and
// counts, and nothing of what stands there.
type review struct {
	refused []string // lines for people, at most shownFindings
	count   int      // of all that is refused
	rules   []string // of all that is refused
	allowed map[allowed]*lines
}

// allowed is what an entry of the allow list let pass in one file.
type allowed struct {
	entry      int // of the project's list
	path, rule string
}

// lines counts the lines with findings.
type lines struct{ count, last int }

// shownFindings is how many findings an error names.
const shownFindings = 20

// note judges a finding. name is the file's path in the repository, which the
// allow list goes by; place is what people are shown.
func (v *review) note(r *run, name, place string, f secretscan.Finding) {
	over := ""
	for i, a := range r.project.Allowed {
		switch {
		case !a.Covers(name, f.ID):
		case a.Expired(r.asOf):
			over = fmt.Sprintf(" (was allowed until %s)", a.Until)
		default:
			v.allow(allowed{entry: i, path: f.File, rule: f.ID}, f.Line)
			return
		}
	}
	if !slices.Contains(v.rules, f.ID) {
		v.rules = append(v.rules, f.ID)
	}
	if v.count++; v.count <= shownFindings {
		v.refused = append(v.refused, place+": "+f.ID+": "+f.Description+over)
	}
}

func (v *review) allow(what allowed, line int) {
	if v.allowed == nil {
		v.allowed = map[allowed]*lines{}
	}
	n := v.allowed[what]
	if n == nil {
		n = &lines{last: -1}
		v.allowed[what] = n
	}
	if line == 0 || line != n.last {
		n.count, n.last = n.count+1, line
	}
}

func (v *review) clean() bool { return v.count == 0 && len(v.allowed) == 0 }

// scan looks for credentials in a layer, whether it was just built or comes
// from the cache: what was let in yesterday may be known for a credential
// today, or not be allowed any more. Only that the same bytes were clean by the
// same rules is remembered.
func (r *run) scan(ctx context.Context, u unit, l layer) (v review, err error) {
	key := towpath.HashOf("scan", secretscan.Version(), string(l.Digest))
	if r.cache.clean(key) {
		return review{}, nil
	}
	err = r.step(ctx, u.name, StepScan, func(ctx context.Context) error {
		content, _, err := r.blobs.Open(ctx, l.Digest)
		if err != nil {
			return err
		}
		defer content.Close()
		entries := 0
		return oci.Walk(ctx, content, r.cfg.Limits.Layer, func(e oci.Entry, content io.Reader) error {
			entries++
			return r.scanEntry(ctx, &v, u, e, entries, content)
		})
	})
	if err == nil && v.clean() {
		if err := r.cache.keepClean(key); err != nil {
			r.cfg.Logger.WarnContext(ctx, "that a layer has no credential was not remembered", "component", u.name, "error", err)
		}
	}
	return v, err
}

// scanEntry scans a file, and of every entry its name and what it links to. A
// name that holds a credential is not shown.
func (r *run) scanEntry(ctx context.Context, v *review, u unit, e oci.Entry, number int, content io.Reader) error {
	name := path.Join(u.path, e.Name)
	shown := name
	for _, text := range []string{e.Name, e.Link} {
		err := r.scanner.Scan(ctx, name, strings.NewReader(text), func(f secretscan.Finding) {
			shown = fmt.Sprintf("%s (the name of entry %d of the layer)", u.path, number)
			f.File = shown
			v.note(r, name, shown, f)
		})
		if err != nil {
			return err
		}
	}
	if content == nil {
		return nil
	}
	return r.scanner.Scan(ctx, shown, content, func(f secretscan.Finding) { v.note(r, name, f.Place(), f) })
}

// scanProjectFile scans towpath.yaml as it was written, because there a finding
// has a line. What it finds is refused with what the layers hold, all at once.
func (r *run) scanProjectFile(ctx context.Context, src []byte) error {
	var v review
	err := r.scanner.Scan(ctx, ProjectFile, strings.NewReader(string(src)), func(f secretscan.Finding) { v.note(r, ProjectFile, f.Place(), f) })
	if err != nil {
		return err
	}
	r.reviews = append(r.reviews, v)
	return nil
}

// refuseSecrets refuses the release for what the scans found, in the order of
// what was scanned.
func (r *run) refuseSecrets() error {
	var shown []string
	count := 0
	for _, v := range r.reviews {
		count += v.count
		shown = append(shown, v.refused...)
	}
	if count == 0 {
		return nil
	}
	shown = shown[:min(len(shown), shownFindings)]
	what := "a credential"
	if count > 1 {
		what = fmt.Sprintf("%d credentials", count)
	}
	text := strings.Join(shown, "\n")
	if n := count - len(shown); n > 0 {
		text += fmt.Sprintf("\nand %d more", n)
	}
	e := towpath.E(towpath.KindInvalid, "build.scan", "the release would carry what looks like %s:\n%s", what, text).
		WithHint("take it out, and have it revoked if it was ever pushed; if it is worth nothing, allow it in %s: "+
			"secrets: {allow: [{path: PATH, rule: RULE, reason: WHY}]}", ProjectFile)
	e.Fields = map[string]string{"findings": strings.Join(shown, "\n")}
	return e
}

// warnAllowed says what each entry of the allow list let pass, and which let
// nothing pass.
func (r *run) warnAllowed() {
	for i, a := range r.project.Allowed {
		found, files := 0, map[string]bool{}
		for _, v := range r.reviews {
			for what, n := range v.allowed {
				if what.entry == i {
					found += n.count
					files[what.path] = true
				}
			}
		}
		w := fmt.Sprintf("%s allows what looks like a credential in %s (%s)", ProjectFile, a.Path, a.Reason)
		switch {
		case found == 0 && a.Expired(r.asOf):
			w += ": that ended on " + a.Until + "; take the entry out"
		case found == 0:
			w += ": nothing of the kind is there; take the entry out"
		default:
			w += fmt.Sprintf(": lines %d, files %d", found, len(files))
		}
		r.result.Warnings = append(r.result.Warnings, w)
	}
}

// shownAllowed is how many files the provenance names in which something was
// allowed; of the rest it has the number.
const shownAllowed = 200

// scanRecord is what the provenance says of the scan: by which rules, and what
// was allowed where and why.
func (r *run) scanRecord() map[string]any {
	type row struct {
		allowed
		lines int
	}
	var rows []row
	for _, v := range r.reviews {
		for what, n := range v.allowed {
			rows = append(rows, row{what, n.count})
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		return slices.Compare([]string{a.path, a.rule, fmt.Sprint(a.entry)}, []string{b.path, b.rule, fmt.Sprint(b.entry)})
	})
	list := []any{}
	for _, x := range rows[:min(len(rows), shownAllowed)] {
		a := r.project.Allowed[x.entry]
		entry := map[string]any{"path": x.path, "rule": x.rule, "reason": a.Reason, "lines": x.lines}
		if a.Until != "" {
			entry["until"] = a.Until
		}
		list = append(list, entry)
	}
	return map[string]any{"rules": secretscan.Version(), "allowed": list, "more": max(0, len(rows)-shownAllowed)}
}

// clean says that a scan's key was remembered.
func (c *cache) clean(key towpath.Digest) bool {
	if c == nil {
		return false
	}
	_, err := os.Stat(c.scanPath(key))
	return err == nil
}

func (c *cache) keepClean(key towpath.Digest) error {
	if c == nil {
		return nil
	}
	at := c.scanPath(key)
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		return err
	}
	return os.WriteFile(at, nil, 0o600)
}

func (c *cache) scanPath(key towpath.Digest) string {
	return filepath.Join(c.dir, "clean", key.Hex()[:2], key.Hex())
}
