package evidence

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/pin"
	"github.com/towpath/towpath/internal/towpath"
)

// Image is what a release takes from a registry outside, as its provenance
// says: an image or a chart.
type Image struct {
	Name       string // in towpath.lock
	Repository string // "docker.io/library/redis"
	Digest     towpath.Digest
}

// Images lists what a release takes from registries, by name, and the names of
// what an exception let in and that may be an image of which nobody knows the
// digest. Provenance that can't be read is an error: it may name some.
func Images(provenance []byte) (images []Image, moving []string, err error) {
	var p struct {
		Predicate struct {
			BuildDefinition struct {
				ResolvedDependencies []struct {
					Name        string
					URI         string `json:"uri"`
					Annotations struct {
						Unpinned bool
						Kind     towpath.ExternalKind
					}
				}
			}
		}
	}
	if err := json.Unmarshal(provenance, &p); err != nil {
		return nil, nil, towpath.E(towpath.KindInvalid, "evidence.images", "the provenance can't be read").WithCause(err).
			WithHint("publish the release again with the provenance that its build wrote")
	}
	for _, d := range p.Predicate.BuildDefinition.ResolvedDependencies {
		repository, digest, known := pin.OCIPackage(d.URI)
		switch {
		case known:
			images = append(images, Image{Name: d.Name, Repository: repository, Digest: digest})
		case d.Annotations.Unpinned && (d.URI == "" || strings.HasPrefix(d.URI, "pkg:oci/")) &&
			(d.Annotations.Kind == "" || d.Annotations.Kind == towpath.ExternalImage):
			moving = append(moving, d.Name)
		}
	}
	slices.SortFunc(images, func(a, b Image) int {
		return strings.Compare(a.Name+" "+string(a.Digest), b.Name+" "+string(b.Digest))
	})
	slices.Sort(moving)
	return slices.Compact(images), slices.Compact(moving), nil
}
