//! The examples do what they say.

#[path = "../../examples/chat.rs"]
mod chat;

#[tokio::test]
async fn the_chat_of_a_service() {
    let [ann, bob] = chat::run().await.unwrap();
    assert_eq!(ann, ["somebody says hello", "Bob: good evening"]);
    assert_eq!(bob, ["somebody says hello", "Ann: good morning", "somebody left after 3 lines"]);
}
