package git_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// BenchmarkRepository_Export writes 2,000 files of 25 KiB, 50 MB in all, half
// of them not compressible.
func BenchmarkRepository_Export(b *testing.B) {
	g := gittest.NewBareAt(b, b.TempDir())
	random := rand.New(rand.NewPCG(1, 2))
	var stream strings.Builder
	fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter Ana <ana@example.com> %d +0000\ndata 0\n", gittest.Start.Unix())
	for i := range 2000 {
		content := strings.Repeat(fmt.Sprintf("line of file %d\n", i), 25600/16)
		if i%2 == 0 {
			raw := make([]byte, 25600)
			for j := range raw {
				raw[j] = byte(random.Uint32())
			}
			content = string(raw)
		}
		fmt.Fprintf(&stream, "M 644 inline svc%d/pkg%d/file%d\ndata %d\n%s\n", i%7, i%50, i, len(content), content)
	}
	g.GitAs(gittest.Ana, stream.String(), "fast-import", "--quiet")
	r, err := git.Open(b.Context(), g.Dir)
	if err != nil {
		b.Fatal(err)
	}
	commit, base := g.Tip("main"), b.TempDir()
	b.SetBytes(2000 * 25600)
	for i := 0; b.Loop(); i++ {
		dir := filepath.Join(base, fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Export(b.Context(), commit, root, git.Selection{}); err != nil {
			b.Fatal(err)
		}
		root.Close()
	}
}
