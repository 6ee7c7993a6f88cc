package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

// exportedRelease is the result of release export.
type exportedRelease struct {
	Project  towpath.ProjectName `json:"project"`
	Release  towpath.Digest      `json:"release"`
	Versions []string            `json:"versions"`
	Layout   string              `json:"layout"`
	Images   int                 `json:"images,omitempty"` // that were taken along
	replicate.Exported
}

func newReleaseExport(s *session) *cobra.Command {
	var to string
	var images bool
	cmd := &cobra.Command{
		Use: "export RELEASE --to DIR|FILE.tar", Short: "Write a release with all its evidence into an OCI image layout",
		Long: "Writes the release, everything that is attached to it and to that, and what it was published with into a new OCI image layout: " +
			"a folder, or an archive when the name ends in .tar. It is for places without a connection: see towpath release import. Any tool that knows " +
			"layouts reads it. The same release gives the same bytes. With --with-images what the release takes from other registries goes along, as the " +
			"server has mirrored it.",
		Example: "  towpath release export 1.4.0 --to shop-1.4.0.tar",
		Args:    positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--to says where the layout is written"))
			}
			return s.runReleaseExport(cmd.Context(), args[0], to, images)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "folder or archive (.tar) to write; nothing may be there")
	cmd.Flags().BoolVar(&images, "with-images", false, "take along what the release takes from other registries; all of it has to be mirrored")
	return cmd
}

func (s *session) runReleaseExport(ctx context.Context, name, to string, images bool) error {
	h, err := s.takeRelease(ctx, name)
	if err != nil {
		return err
	}
	out := exportedRelease{Project: h.project, Release: h.release.Digest, Versions: h.versions, Layout: to}
	source, graph := h.source, h.graph
	if images {
		all, err := s.takeImages(ctx, h.client, h.release)
		if err != nil {
			return err
		}
		source, graph = withImages(source, graph, all)
		out.Images = len(all)
	}
	shown := s.newCopying("exporting", graph)
	out.Exported, err = replicate.Export(ctx, source, graph, tags(h.versions), s.path(to), shown.config())
	shown.end(err)
	if err != nil {
		return err
	}
	return s.print(result{data: out, names: []string{string(out.Release)}, show: func(p *page) {
		p.field("release", p.style.bold(string(out.Release)))
		p.field("versions", strings.Join(out.Versions, ", "))
		p.field("layout", out.Layout)
		if images {
			p.field("images", plural(out.Images, "image", "images"))
		}
		p.field("written", plural(out.Manifests, "manifest", "manifests")+", "+plural(out.Blobs, "blob", "blobs")+", "+size(out.Bytes))
	}})
}
