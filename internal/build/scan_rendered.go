package build

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/secretscan"
	"github.com/towpath/towpath/internal/towpath"
)

// scanContent scans the release's content, with every rendered configuration,
// value by value: what YAML folds, quotes and refers to stands there as it
// will be used. A value is scanned with its key, as `key: "value"`. What
// towpath.yaml as written was refused for is not named once more for every
// environment: of a rule that found something there it is not said again.
func (r *run) scanContent(ctx context.Context, c *towpath.ReleaseContent) error {
	raw, err := oci.Canonical(c)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return towpath.E(towpath.KindInternal, "build.scan", "the release's content can't be read back").WithCause(err)
	}
	s := contentScan{run: r}
	if err := s.value(ctx, "", "", value); err != nil {
		return err
	}
	r.reviews = append(r.reviews, s.review)
	return nil
}

// contentScan walks through JSON.
type contentScan struct {
	*run
	review
}

func (s *contentScan) value(ctx context.Context, at, key string, v any) error {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			below, err := s.key(ctx, at, k)
			if err != nil {
				return err
			}
			if err := s.value(ctx, below, k, v[k]); err != nil {
				return err
			}
		}
	case []any:
		for i, item := range v {
			if err := s.value(ctx, at+"["+s.itemName(ctx, item, i)+"]", key, item); err != nil {
				return err
			}
		}
	case string:
		return s.text(ctx, at, key+": "+quoted(v))
	}
	return nil
}

// key is where a map's key leads. One that holds a credential itself is
// reported, and not shown.
func (s *contentScan) key(ctx context.Context, at, key string) (string, error) {
	if !s.harmless(ctx, key) {
		return at + ".…", s.text(ctx, at+".…", key)
	}
	return strings.TrimPrefix(at+"."+key, "."), nil
}

func (s *contentScan) text(ctx context.Context, at, text string) error {
	return s.scanner.Scan(ctx, ProjectFile, strings.NewReader(text), func(f secretscan.Finding) {
		if slices.Contains(s.reviews[0].rules, f.ID) {
			return
		}
		f.File = ProjectFile + ", rendered at " + at
		s.note(s.run, ProjectFile, f.File, f)
	})
}

// itemName is what an item of a list is called: by its name, so that a place in
// the content says which environment and which component it is of.
func (s *contentScan) itemName(ctx context.Context, item any, index int) string {
	if m, ok := item.(map[string]any); ok {
		if rules, ok := m["rules"].(map[string]any); ok { // an environment
			m = rules
		}
		for _, key := range []string{"name", "role"} {
			if name, ok := m[key].(string); ok && s.harmless(ctx, name) {
				return name
			}
		}
	}
	return fmt.Sprint(index)
}

// harmless says that a text holds no credential.
func (s *contentScan) harmless(ctx context.Context, text string) bool {
	clean := true
	err := s.scanner.Scan(ctx, "", strings.NewReader(text), func(secretscan.Finding) { clean = false })
	return clean && err == nil
}

// quoted puts a value into quotes that it does not hold.
func quoted(v string) string {
	for _, q := range []string{`"`, "'", "`"} {
		if !strings.Contains(v, q) {
			return q + v + q
		}
	}
	return v
}
