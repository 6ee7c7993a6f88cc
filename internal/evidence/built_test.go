package evidence_test

import (
	"testing"
	"time"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/towpath"
)

func TestBuiltAt(t *testing.T) {
	then := time.Date(2026, 3, 31, 23, 0, 0, 0, time.UTC)
	about := towpath.DigestOf([]byte("release"))
	says := func(predicateType string, started any) []byte {
		b, err := evidence.Make("", about, predicateType, map[string]any{"runDetails": map[string]any{"metadata": map[string]any{"startedOn": started}}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, c := range map[string]struct {
		statement []byte
		want      time.Time
	}{
		"a provenance":              {says(evidence.TypeProvenance, then), then},
		"one that does not say":     {says(evidence.TypeProvenance, nil), time.Time{}},
		"one that says no time":     {says(evidence.TypeProvenance, "yesterday"), time.Time{}},
		"another statement":         {says(evidence.TypeSBOM, then), time.Time{}},
		"what is no statement":      {[]byte(`{"version":"1.4.0"}`), time.Time{}},
		"what is nothing of a kind": {nil, time.Time{}},
	} {
		if got := evidence.BuiltAt(c.statement); !got.Equal(c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
