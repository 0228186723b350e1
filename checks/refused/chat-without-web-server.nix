{
  message = "services.operation-dbus.chat.model is for the chat of the web server";
  config.chat.model = {
    url = "http://127.0.0.1:11434/v1";
    name = "qwen3:8b";
  };
}
