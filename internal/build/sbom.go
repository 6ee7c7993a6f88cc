package build

import (
	"context"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/pin"
)

// sbom is the release's bill of materials: its layers, what the lock file
// resolved, and the packages that components list in their part of the commit.
func (r *run) sbom(ctx context.Context) ([]byte, error) {
	bill := evidence.Bill{Project: r.project.Project, Release: r.result.Digest}
	for i, u := range r.units {
		part := evidence.Part{Name: string(u.name), Layer: r.layers[i].Digest}
		if !u.folder {
			part.Kind, part.DependsOn = r.project.Components[i].Kind, r.project.Components[i].DependsOn
			if err := r.packages(ctx, u, &part); err != nil {
				return nil, err
			}
		}
		bill.Parts = append(bill.Parts, part)
	}
	for _, e := range r.pinned.Pins {
		bill.Pins = append(bill.Pins, evidence.Pin{Pin: e, PURL: pin.PURL(e)})
	}
	for _, x := range r.pinned.Excepted {
		bill.Pins = append(bill.Pins, evidence.Pin{Pin: x.Pin, PURL: pin.PURL(x.Pin), Unpinned: x.Why})
	}
	return evidence.MakeBill(bill)
}
