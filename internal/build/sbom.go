package build

import (
	"context"
	"path"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/pin"
	"github.com/towpath/towpath/internal/towpath"
)

// maxPackageFile bounds a file that lists packages, in bytes.
const maxPackageFile = 16 << 20

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

// packages reads what a component says that it is made with. A list that can't
// be read makes the bill incomplete, which it says, and is no reason not to
// release: a build command that needs the list fails by itself.
func (r *run) packages(ctx context.Context, u unit, part *evidence.Part) error {
	for _, at := range u.lists() {
		found, unread, err := r.list(ctx, at)
		if err != nil {
			return err
		}
		part.Packages = append(part.Packages, found...)
		if unread != "" {
			part.Unread = append(part.Unread, at+": "+unread)
			r.result.Warnings = append(r.result.Warnings, "the bill of materials is incomplete, because a list of packages can't be read: "+at+": "+unread)
		}
	}
	return nil
}

// lists are the files that may list a unit's packages: at the top of what it
// exports, or named themselves.
func (u unit) lists() []string {
	var at []string
	for _, p := range u.exported() {
		switch path.Base(p) {
		case "go.mod", "package-lock.json":
			at = append(at, path.Clean(p))
		default:
			at = append(at, path.Join(p, "go.mod"), path.Join(p, "package-lock.json"))
		}
	}
	return at
}

// list reads the packages of one file, if the commit has it. That the file
// can't be read is told apart from that the repository can't.
func (r *run) list(ctx context.Context, at string) (found []evidence.Package, unread string, err error) {
	src, unread, err := r.optional(ctx, at)
	if src == nil {
		return nil, unread, err
	}
	if path.Base(at) == "go.mod" {
		var sums []byte
		if sums, unread, err = r.optional(ctx, path.Join(path.Dir(at), "go.sum")); err != nil || unread != "" {
			return nil, unread, err
		}
		found, err = evidence.GoModules(src, sums)
	} else {
		found, err = evidence.NPMPackages(src)
	}
	if err != nil {
		unread = err.Error()
	}
	return found, unread, nil
}

// optional is a file's content; nil when the commit lacks it, or when it is no
// file or too large, which is said.
func (r *run) optional(ctx context.Context, at string) (content []byte, unread string, err error) {
	content, err = r.source.ReadFile(ctx, r.commit.ID, at, maxPackageFile)
	switch towpath.KindOf(err) {
	case "":
		return content, "", nil
	case towpath.KindNotFound:
		return nil, "", nil
	case towpath.KindExhausted, towpath.KindInvalid:
		message, _ := towpath.PublicMessage(err)
		return nil, message, nil
	}
	return nil, "", err
}
