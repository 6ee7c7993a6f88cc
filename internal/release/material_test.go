package release

import (
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

func TestForMaterial(t *testing.T) {
	const at, later = "2026-11-22T01:00:00.5Z", "2026-11-22T02:00:00Z"
	for _, tt := range []struct {
		name, cause, material string
		want                  bool
	}{
		{"its own", "material left-pad " + at, "left-pad", true},
		{"with spaces", "material left pad " + at, "left pad", true},
		{"that can't be read", "unread material left pad " + at, "left pad", true},
		{"that can't be read, with what was attached", "unread material left pad " + at + " 0123456789abcdef", "left pad", true},
		{"the beginning of a name", "material left pad " + at, "left", false},
		{"the beginning of a name of what can't be read", "unread material left pad " + at, "left", false},
		{"the beginning of a name that has a time", "material left " + at + " " + later, "left", false},
		{"that of what can't be read", "unread material left " + at + " " + later, "left", false},
		{"with what was attached", "unread material left " + at + " " + later + " 0123456789abcdef", "left", false},
		{"more than a name", "material left pad " + at, "left pad " + at, false},
		{"of every project", "everywhere left-pad " + at, "left-pad", false},
		{"of a key", "key left-pad " + at, "left-pad", false},
		{"by hand", "", "left-pad", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ForMaterial(&towpath.Quarantine{Cause: tt.cause}, tt.material); got != tt.want {
				t.Errorf("%q is for %q: %t", tt.cause, tt.material, got)
			}
		})
	}
	if ForMaterial(nil, "left-pad") {
		t.Error("what is not quarantined is, for a material")
	}
}
