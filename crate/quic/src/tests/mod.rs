mod certificates;
mod network;
mod refused;
mod streams;
