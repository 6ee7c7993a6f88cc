package build

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/secretscan"
	"github.com/towpath/towpath/internal/towpath"
)

// scanned is what a scan of a layer found, and by which rules.
type scanned struct {
	Rules    string               `json:"rules"`
	Findings []secretscan.Finding `json:"findings,omitempty"`
}

// current reports whether the rules of today have been applied.
func (s *scanned) current() bool { return s != nil && s.Rules == secretscan.Version }

const (
	maxScanned   = 1000 // findings of one layer
	shownSecrets = 20   // in an error
)

// scanLayer scans the files of a layer, and reads it to its end in any case.
func scanLayer(ctx context.Context, u unit, r io.Reader) (*scanned, error) {
	out := &scanned{Rules: secretscan.Version}
	files := tar.NewReader(r)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var found []secretscan.Finding
		if err == nil && header.Typeflag == tar.TypeReg {
			found, err = secretscan.Scan(ctx, path.Join(u.path, header.Name), files)
		}
		if err != nil {
			_, _ = io.Copy(io.Discard, r) // whoever writes it must not wait for ever
			return nil, towpath.E(towpath.KindUnavailable, "build.secrets", "the files of %q can't be scanned for secrets", u.name).WithCause(err)
		}
		out.Findings = append(out.Findings, found[:min(len(found), maxScanned-len(out.Findings))]...)
	}
	_, err := io.Copy(io.Discard, r)
	return out, err
}

// rescan scans a layer that was packed before there were the rules of today.
func (r *run) rescan(ctx context.Context, u unit, l layer) (*scanned, error) {
	body, _, err := r.blobs.Open(ctx, l.Digest)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return scanLayer(ctx, u, body)
}

// allowed is one entry of the project's list that something was found for.
type allowed struct {
	towpath.SecretAllowance
	findings int
}

// secrets refuses a release with credentials, unless the project says of each
// why it may be there. What it allows is told, and stands in the provenance.
func (r *run) secrets(ctx context.Context) error {
	found, err := r.foundSecrets(ctx)
	if err != nil {
		return err
	}
	uses := map[int]int{}
	var refused []string
	for _, f := range found {
		i, expired := r.allowance(f)
		switch {
		case i >= 0:
			uses[i]++
		case expired != "":
			refused = append(refused, f.String()+": it was allowed until "+expired)
		default:
			refused = append(refused, f.String())
		}
	}
	for i, a := range r.project.Secrets {
		if n := uses[i]; n > 0 {
			r.allowed = append(r.allowed, allowed{a, n})
			r.result.Warnings = append(r.result.Warnings, fmt.Sprintf("the release has %d of what looks like secrets at %s, as %s allows: %s", n, a.Path, ProjectFile, a.Reason))
		}
	}
	if len(refused) == 0 {
		return nil
	}
	shown := refused[:min(len(refused), shownSecrets)]
	if n := len(refused) - len(shown); n > 0 {
		shown = append(shown, fmt.Sprintf("and %d more", n))
	}
	e := towpath.E(towpath.KindInvalid, "build.secrets", "the release would carry what looks like a credential, in %s", places(len(refused))).
		WithCause(errors.New("\n  "+strings.Join(shown, "\n  "))).
		WithHint("take it out and replace it where it is used, because it stands in the repository; or allow it in %s under secrets.allow, with a reason", ProjectFile)
	e.Fields = map[string]string{"log": strings.Join(shown, "\n")}
	return e
}

func places(n int) string {
	if n == 1 {
		return "one place"
	}
	return fmt.Sprintf("%d places", n)
}

// foundSecrets are the findings in all layers and in the project's own files.
func (r *run) foundSecrets(ctx context.Context) ([]secretscan.Finding, error) {
	var all []secretscan.Finding
	for _, l := range r.layers {
		all = append(all, l.Scan.Findings...)
	}
	for _, file := range []string{ProjectFile, LockFile} {
		src, err := r.source.ReadFile(ctx, r.commit.ID, file, r.cfg.Limits.ProjectFile)
		if towpath.KindOf(err) == towpath.KindNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		found, err := secretscan.Scan(ctx, file, bytes.NewReader(src))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.SortFunc(all, func(a, b secretscan.Finding) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(all), nil
}

// allowance is the entry of the project's list that allows a finding, or -1;
// expired says until when one did.
func (r *run) allowance(f secretscan.Finding) (index int, expired string) {
	today := r.cfg.Now().UTC().Format("2006-01-02")
	for i, a := range r.project.Secrets {
		switch {
		case a.Rule != "" && a.Rule != f.Rule || !matchPath(strings.Split(a.Path, "/"), strings.Split(f.File, "/")):
		case a.Until != "" && a.Until < today:
			expired = a.Until
		default:
			return i, ""
		}
	}
	return -1, expired
}

// matchPath matches a path with a pattern, part by part: ** stands for any
// number of parts.
func matchPath(pattern, file []string) bool {
	if len(pattern) == 0 {
		return len(file) == 0
	}
	if pattern[0] == "**" {
		for i := range len(file) + 1 {
			if matchPath(pattern[1:], file[i:]) {
				return true
			}
		}
		return false
	}
	if len(file) == 0 {
		return false
	}
	ok, err := path.Match(pattern[0], file[0])
	return err == nil && ok && matchPath(pattern[1:], file[1:])
}

// allowedSecrets is what the provenance says of them.
func (r *run) allowedSecrets() []any {
	var out []any
	for _, a := range r.allowed {
		entry := map[string]any{"path": a.Path, "reason": a.Reason, "findings": a.findings}
		if a.Rule != "" {
			entry["rule"] = a.Rule
		}
		if a.Until != "" {
			entry["until"] = a.Until
		}
		out = append(out, entry)
	}
	return out
}
