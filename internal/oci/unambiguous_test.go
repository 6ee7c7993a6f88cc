package oci_test

import (
	"testing"

	"github.com/towpath/towpath/internal/oci"
)

func TestValues(t *testing.T) {
	for text, want := range map[string]int{
		`1`: 1, `"a,[{"`: 1, `"\",["`: 1, `"\\",[`: 3, `[1]`: 2, `[1,2]`: 3, `{"a":1,"b":[2,{"c":",{"}]}`: 6,
		`[]`: 2, // at most
	} {
		if got := oci.Values([]byte(text)); got != want {
			t.Errorf("%s has %d, want %d", text, got, want)
		}
	}
}
