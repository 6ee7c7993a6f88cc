package git

import (
	"os/exec"
	"testing"

	"pgregory.net/rapid"
)

func TestValidName_IsNeverLaxerThanGit(t *testing.T) {
	part := rapid.StringOfN(rapid.SampledFrom([]rune(`ab-./@{}~^:?*[\ é`+"\x7f\t")), 1, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		name := part.Draw(t, "name")
		if validName(name) && exec.Command("git", "check-ref-format", "--branch", name).Run() != nil {
			t.Fatalf("%q passes here and not with git", name)
		}
	})
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"staging", "stagin", 1}, {"kitten", "sitting", 3}, {"main", "man", 1}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
