package build

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// shownIgnored is how many files a warning names.
const shownIgnored = 5

// warnIgnored says which files of the release are covered by what a component
// says that its own programs write: nobody will see when they are edited.
func (r *run) warnIgnored(ctx context.Context) error {
	for i, u := range r.units {
		if u.folder || r.project.Components[i].DriftRules == nil || len(r.project.Components[i].DriftRules.Ignore) == 0 {
			continue
		}
		covered, err := r.ignored(ctx, r.layers[i].Digest, r.project.Components[i].DriftRules.Ignore)
		if err != nil {
			return err
		}
		if len(covered) == 0 {
			continue
		}
		text := strings.Join(covered[:min(len(covered), shownIgnored)], ", ")
		if n := len(covered) - shownIgnored; n > 0 {
			text += fmt.Sprintf(" and %d more", n)
		}
		r.result.Warnings = append(r.result.Warnings,
			fmt.Sprintf("drift.ignore of %s covers files of the release, which can be edited without being drift: %s", u.name, text))
	}
	return nil
}

// ignored lists the files of a layer that some patterns cover.
func (r *run) ignored(ctx context.Context, layer towpath.Digest, patterns []string) ([]string, error) {
	content, _, err := r.blobs.Open(ctx, layer)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	var out []string
	err = oci.Walk(ctx, content, r.cfg.Limits.Layer, func(e oci.Entry, _ io.Reader) error {
		if !e.Dir && towpath.Ignored(patterns, e.Name, false) {
			out = append(out, e.Name)
		}
		return nil
	})
	return out, err
}
