package cli

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/towpath"
)

func newAuditExport(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "export [FILE]", Short: "Export the ledger as JSON lines, to stdout or a file", Args: positional(0, 1),
		Long: "Exports the whole ledger: a part could not be verified. Verify it anywhere with: towpath audit verify --file FILE",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			export := func(w io.Writer) error { return c.Export(cmd.Context(), w) }
			if len(args) == 0 || args[0] == "-" {
				return export(s.stdout)
			}
			return writeWhole(args[0], export)
		},
	}
}

// writeWhole writes a file that is whole or not there.
func writeWhole(path string, write func(io.Writer) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".export-*")
	if err != nil {
		return towpath.E(towpath.KindInvalid, "", "%s can't be written", path).WithCause(err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	err = write(tmp)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
