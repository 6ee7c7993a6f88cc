//go:build !race

// The race detector keeps several bytes for each of the program's, and lets
// pools forget: what the kernel counts then is not the server's memory. `make
// test` measures it.

package ocidist_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/towpath/towpath/internal/towpathtest/ocitest"
)

// kernelSays is a line of what the kernel says of a process' memory, in KiB.
func kernelSays(t *testing.T, pid int, name string) (kib int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), name+":")
	if _, err := fmt.Sscan(rest, &kib); err != nil || !ok {
		t.Fatal(err)
	}
	return kib
}

// TestMemory: pushes and pulls of blobs of any size take little memory.
func TestMemory(t *testing.T) {
	t.Run("on disk", func(t *testing.T) { takesLittleMemory(t, spawn(t, t.TempDir(), "", "")) })
	t.Run("over an object store", func(t *testing.T) {
		_, blobs := bucket(t)
		takesLittleMemory(t, spawnOver(t, t.TempDir(), "", blobs, ""))
	})
}

func takesLittleMemory(t *testing.T, c *child) {
	const limit = 32 << 10 // KiB above idle
	client := ocitest.NewClient(t, c.target)
	client.PushBlob([]byte("{}"))
	idle := kernelSays(t, c.cmd.Process.Pid, "VmRSS")
	var wg sync.WaitGroup
	for who := range 8 {
		wg.Go(func() {
			client := ocitest.NewClient(t, c.target)
			for i := range 30 {
				size := 4 << 10
				if i%5 == 0 {
					size = 4 << 20
				}
				content := ocitest.Random(size)
				d := client.PushBlob(content)
				m := client.Attach("application/vnd.example", d, size)
				client.Push(fmt.Sprintf("t-%d-%d", who, i), m)
				client.Expect(client.Do("GET", client.Repo("blobs/"+d), nil), 200)
			}
		})
	}
	wg.Wait()
	if peak := kernelSays(t, c.cmd.Process.Pid, "VmHWM"); peak-idle > limit {
		t.Errorf("the peak is %d KiB above the %d KiB of idle, want at most %d", peak-idle, idle, limit)
	} else {
		t.Logf("idle %d KiB, peak %d KiB above", idle, peak-idle)
	}
}
