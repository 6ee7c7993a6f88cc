package failpoint

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

func TestPoint(t *testing.T) {
	for _, c := range []struct {
		armed string
		hits  []string
		dies  int // at which hit; -1 never
	}{
		{"", []string{"", "a"}, -1},
		{"a", []string{"b", "a", "a"}, 1},
		{"a:2", []string{"a", "b", "a", "a"}, 2},
		{"a:0", []string{"a"}, 0},
		{"a:x", []string{"a"}, 0},
	} {
		p, died := parse(c.armed), -1
		for i, name := range c.hits {
			if p.reached(name) && died < 0 {
				died = i
			}
		}
		if died != c.dies {
			t.Errorf("%q dies at hit %d of %q, want %d", c.armed, died, c.hits, c.dies)
		}
	}
}

func TestHit(t *testing.T) {
	if os.Getenv("FAILPOINT_CHILD") != "" {
		Hit("elsewhere")
		Hit("here")
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHit$")
	cmd.Env = append(os.Environ(), "FAILPOINT_CHILD=1", Variable+"=here")
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("got %v, want it killed", err)
	}
}
