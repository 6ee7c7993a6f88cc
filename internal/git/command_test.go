package git

import (
	"io"
	"strings"
	"testing"
)

func TestHead_KeepsItsLimitUnderCopy(t *testing.T) {
	h := &head{limit: 10}
	if _, err := io.Copy(h, strings.NewReader(strings.Repeat("x", 11))); err == nil || !h.full {
		t.Errorf("copied %d bytes past the limit, error %v", h.b.Len(), err)
	}
	h = &head{limit: 10}
	if _, err := io.Copy(h, strings.NewReader(strings.Repeat("x", 10))); err != nil || h.full {
		t.Errorf("refused the limit itself: %v", err)
	}
}

func TestTail_KeepsTheEnd(t *testing.T) {
	tl := &tail{limit: 5}
	for _, s := range []string{"abc", "def", "a longer text", "xyz"} {
		if n, err := io.WriteString(tl, s); n != len(s) || err != nil {
			t.Fatalf("wrote %d, error %v", n, err)
		}
	}
	if tl.String() != "xtxyz" {
		t.Errorf("kept %q", tl)
	}
}
