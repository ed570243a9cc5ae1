package memory_test

import (
	"testing"

	"github.com/sallyport-auth/sallyport/session"
	"github.com/sallyport-auth/sallyport/stores/memory"
	"github.com/sallyport-auth/sallyport/stores/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) session.Store { return memory.New() })
}
