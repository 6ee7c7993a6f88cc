// Package rollout decides how a deployment goes on: which steps to issue next,
// when its phase changes and what to undo. It is pure: no I/O, no clock. Start
// reading at Next; New says which components a deployment replaces.
package rollout
