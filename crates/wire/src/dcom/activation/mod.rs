//! Creating an object on another machine (wire.md 4.6 to 4.13; DCOM 2.2.22, 3.1.2.5.2.3).
//!
//! * [`ActivatorRequest`] and [`ActivatorResponse`]: the two methods of `IRemoteSCMActivator`.
//! * [`ActivationProperties`] and [`ActivationReply`]: what travels in them, as properties in a custom OBJREF.
//! * [`FactoryRequest`] and [`FactoryResponse`]: `IClassFactory`, whose reference RemoteGetClassObject gives.
//! * [`RemoteActivation`] and [`RemoteActivationReply`]: the one method of `IActivation`, their predecessor.

mod blob;
mod call;
mod factory;
mod reply;
mod request;
mod v1;

pub use call::{ActivatorRequest, ActivatorResponse};
pub use factory::{FactoryRequest, FactoryResponse};
pub use reply::{ActivationReply, Exporter, InterfaceResult};
pub use request::{ActivationProperties, MAX_INTERFACES, MAX_TOWERS};
pub use v1::{RemoteActivation, RemoteActivationReply};
