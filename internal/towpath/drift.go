package towpath

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Drift is what is known of how a target differs from what was deployed to it,
// and what was done about it. It is made of observations and of nothing else:
// it never changes what is desired.
type Drift struct {
	Target   Target     `json:"target"`
	Revision RevisionID `json:"revision,omitempty"` // desired
	State    DriftState `json:"state"`
	// Differences are those last seen; empty: none.
	Differences []Difference `json:"differences,omitempty"`
	Since       time.Time    `json:"since,omitzero"` // when the first of them was seen
	Clean       time.Time    `json:"clean,omitzero"` // since when none is seen any more, of drift that was found
	// Files is which look at files Since was at, or Clean, by the place's clock: that
	// look does not confirm itself. Zero: none, or it is not known.
	Files time.Time `json:"files,omitzero"`
	// Beside is what was seen beside differences that stand and can't be repaired,
	// and is not certain yet.
	Beside Suspicion `json:"beside,omitzero"`
	// Told is that drift is on record, and not yet that it is gone.
	Told bool `json:"told,omitempty"`
	// ToldAt is when there was news of it last, and Untold that something else
	// differs since.
	ToldAt time.Time `json:"toldAt,omitzero"`
	Untold bool      `json:"untold,omitempty"`
	// Why says, as a sentence, why nothing is being done about it.
	Why     string          `json:"why,omitempty"`
	Again   time.Time       `json:"again,omitzero"`    // when a repair may be tried next
	Repairs []RepairAttempt `json:"repairs,omitempty"` // oldest first, of late
}

// Suspicion is what was seen, and counts when it is seen again.
type Suspicion struct {
	Differences []Difference `json:"differences"`
	Since       time.Time    `json:"since"`
	Files       time.Time    `json:"files,omitzero"` // which look at files Since was at, see [Drift]
}

// RepairAttempt is one repair of a target.
type RepairAttempt struct {
	Deployment DeploymentID `json:"deployment"`
	By         AccountName  `json:"by"`
	Began      time.Time    `json:"began"`
	Ended      time.Time    `json:"ended,omitzero"`
	Failed     string       `json:"failed,omitempty"` // why; empty: it has not
}

// DriftState is where the drift of a target stands.
type DriftState string

// The states of drift.
const (
	DriftNone      DriftState = "none"
	DriftSuspected DriftState = "suspected"   // seen once; nobody is told yet
	DriftFound     DriftState = "drifted"     // seen again
	DriftRepairing DriftState = "repairing"   // a deployment replaces what differs
	DriftBackOff   DriftState = "backing-off" // a repair failed; the next one waits
	DriftFlapping  DriftState = "flapping"    // repaired, and changed back, again and again: left alone
	DriftUnknown   DriftState = "unknown"     // nobody can tell now
)

// Standing reports whether people are to know of it.
func (s DriftState) Standing() bool {
	return s == DriftFound || s == DriftRepairing || s == DriftBackOff || s == DriftFlapping
}

// Unknown reports whether all that is known is that something could not be looked
// at. That is not drift, and people are to know of it all the same.
func (d Drift) Unknown() bool {
	return d.State == DriftFound && !slices.ContainsFunc(d.Differences, func(x Difference) bool { return x.Kind != DiffersUnknown })
}

// Difference is one thing that is not as it was deployed. It names files and
// variables and never shows what is in them.
type Difference struct {
	Kind     DifferenceKind `json:"kind"`
	Subject  string         `json:"subject,omitempty"` // a file, a variable
	Sentence string         `json:"sentence"`
}

// DifferenceKind is what differs.
type DifferenceKind string

// The kinds of difference.
const (
	DiffersGone      DifferenceKind = "process-gone"   // nothing of the revision runs
	DiffersInstances DifferenceKind = "instances"      // fewer or more run than are wanted
	DiffersUnhealthy DifferenceKind = "unhealthy"      // an instance runs and gets no requests
	DiffersRevision  DifferenceKind = "wrong-revision" // another one has the traffic
	DiffersFile      DifferenceKind = "file-changed"   // a file of the release that runs was edited, added or removed
	DiffersSettings  DifferenceKind = "settings"       // it was started with others than it has now
	DiffersPort      DifferenceKind = "port-taken"     // the router can't listen
	DiffersUnknown   DifferenceKind = "file-unknown"   // a file could not be looked at: nobody knows whether it differs
)

// FileChange is a file of a revision that is not as its layer has it.
type FileChange struct {
	Path string     `json:"path"` // relative to the revision's folder, with slashes
	How  FileEdited `json:"how"`
}

// Sentence says what became of it.
func (f FileChange) Sentence() string {
	name := f.Path
	switch {
	case name == "." && f.How == FileWasReplaced:
		return "In place of the folder with all of its files stands something of another kind."
	case name == ".":
		return "The folder with all of its files is gone."
	}
	switch f.How {
	case FileWasAdded:
		return fmt.Sprintf("The file %s was added to those of the release.", name)
	case FileWasRemoved:
		return fmt.Sprintf("The file %s of the release was removed.", name)
	case FileModeChanged:
		return fmt.Sprintf("The permissions of the file %s of the release were changed.", name)
	case FileOwnerChanged:
		return fmt.Sprintf("The file %s of the release was given to another user or group.", name)
	case FileWasReplaced:
		return fmt.Sprintf("In place of %s of the release stands something of another kind (a link, a file, a folder).", name)
	}
	return fmt.Sprintf("The file %s of the release was edited.", name)
}

// FileEdited is what became of a file.
type FileEdited string

// What becomes of files.
const (
	FileWasEdited    FileEdited = "edited"
	FileWasAdded     FileEdited = "added"
	FileWasRemoved   FileEdited = "removed"
	FileModeChanged  FileEdited = "mode"
	FileOwnerChanged FileEdited = "owner"
	FileWasReplaced  FileEdited = "replaced" // by something that is no file: a link, a folder
)

// FileUnread is a file or folder of a revision that nobody could look at.
type FileUnread struct {
	Path string `json:"path"` // relative to the revision's folder, with slashes
	Why  string `json:"why"`  // "permission denied"
}

// Sentence says so.
func (f FileUnread) Sentence() string {
	name := f.Path
	if name == "." {
		name = "the folder with all of its files"
	}
	return fmt.Sprintf("Whether %s was changed nobody knows: it can't be read (%s).", name, f.Why)
}

// SettingsDigest is the digest of a component's rendered settings, however the
// JSON was written on its way; empty when it is none.
func SettingsDigest(rendered json.RawMessage) Digest {
	var v any
	d := json.NewDecoder(bytes.NewReader(rendered))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return DigestOf(b)
}
