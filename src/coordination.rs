//! Coordination: how several machines share the shards of one stream. So far its protocol, as a model
//! that is explored whole.

mod model_tests;
