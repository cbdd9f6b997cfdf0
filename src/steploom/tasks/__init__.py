"""One file a task: options, data, model, loss, metric, predictions, plot."""
