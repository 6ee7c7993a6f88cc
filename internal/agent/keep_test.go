package agent_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

func TestAgent_Keeps(t *testing.T) {
	t.Run("what runs, before the first look at it and each later one", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			time.Sleep(time.Minute + time.Millisecond)
			kept, looked := b.runner.rounds()
			if kept < 13 || len(looked) < 13 || looked[0] == 0 || looked[len(looked)-1] != kept {
				t.Errorf("kept it %d times, and looked at it after these: %v", kept, looked)
			}
		})
	})
	t.Run("it while a look at it hangs, until the agent stops", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			synctest.Wait()
			b.runner.looking(func(ctx context.Context) { <-ctx.Done() })
			began, looks := b.runner.rounds()
			time.Sleep(time.Minute + time.Millisecond)
			kept, looked := b.runner.rounds()
			if kept-began < 12 || len(looked) != len(looks)+1 {
				t.Errorf("kept it %d times in a minute, while %d looks hung", kept-began, len(looked)-len(looks))
			}
			b.stop()
			kept, _ = b.runner.rounds()
			time.Sleep(time.Minute)
			if after, _ := b.runner.rounds(); after != kept {
				t.Errorf("kept it %d times after the agent had stopped", after-kept)
			}
		})
	})
	t.Run("it as soon as an operation has ended", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			time.Sleep(time.Second) // between two rounds
			before, _ := b.runner.rounds()
			b.srv.add(t, b.op("op_1", towpath.VerbSwitch))
			synctest.Wait()
			if after, looked := b.runner.rounds(); after != before+1 || looked[len(looked)-1] != after {
				t.Errorf("kept it %d times, looked at it after these: %v", after-before, looked)
			}
		})
	})
}
